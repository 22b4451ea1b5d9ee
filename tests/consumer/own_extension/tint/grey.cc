#include <palette/white.h>

static_assert(kWhite == 127, "white is not grey");
