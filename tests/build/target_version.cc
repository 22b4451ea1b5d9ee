// Asks for nothing but the check of the target; the build says which target.
#include "csrc/libtorch_stable/target_version.h"
