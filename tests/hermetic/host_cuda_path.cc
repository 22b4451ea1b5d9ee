// A header of a toolkit that the machine may have, by the place where most machines have it.
#include "/usr/local/cuda/include/cuda.h"
