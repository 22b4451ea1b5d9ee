#include <palette/white.h>

int DarkTint() { return kWhite / 2; }
