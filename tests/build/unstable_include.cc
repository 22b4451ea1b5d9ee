// Reaches for a header that the stable ABI does not have.
#include <ATen/ATen.h>
