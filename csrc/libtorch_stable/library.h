// How operators are registered: by the stable ABI or, in the tests' twin, as ever.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_LIBRARY_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_LIBRARY_H_

#ifdef STABLEKV_ATEN_TWIN
#include "csrc/libtorch_unstable/twin/library.h"
#else

#include <torch/csrc/stable/library.h>

#include "csrc/libtorch_stable/boxed.h"
#include "csrc/libtorch_stable/registered.h"
#include "csrc/libtorch_stable/target_version.h"

// Like torch's STABLE_TORCH_LIBRARY_FRAGMENT and _IMPL, but for what happens when torch refuses.
// The names are macros themselves, so they are expanded once more before they are pasted.
#define STABLEKV_LIBRARY_FRAGMENT(ns, library) \
  STABLEKV_REGISTERED(FRAGMENT, ns, nullptr, library, C10_UID)
#define STABLEKV_LIBRARY_IMPL(ns, key, library) \
  STABLEKV_REGISTERED(IMPL, ns, #key, library, C10_UID)
#define STABLEKV_REGISTERED(kind, ns, key, library, uid) \
  STABLEKV_REGISTERED_AS(kind, ns, key, library, C10_CONCATENATE(Register, uid))
#define STABLEKV_REGISTERED_AS(kind, ns, key, library, function)                               \
  static void function(::stablekv::Library&);                                                  \
  static const bool C10_CONCATENATE(function, _done) = ::stablekv::Registered::Add(            \
      ::stablekv::Library::Kind::kind, &function, C10_STRINGIZE(ns), key, __FILE__, __LINE__); \
  static void function(::stablekv::Library& library)

// A function of the types of torch.h, as impl() takes it.
#define STABLEKV_KERNEL(function) (&::stablekv::Boxed<(function)>::Call)

#endif  // STABLEKV_ATEN_TWIN
#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_LIBRARY_H_
