#include <palette/white.h>

int Tint() { return kWhite; }
