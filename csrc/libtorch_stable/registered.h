// What this library has registered with torch: all of it, or nothing.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_REGISTERED_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_REGISTERED_H_

#include <torch/csrc/stable/library.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <vector>

namespace stablekv {

using Library = torch::stable::detail::StableLibrary;

// torch throws where an operator is defined a second time, which ends the process when it happens
// in a static initializer. So that is caught, and what was registered before it is taken back: the
// operators that are there already, whosesoever, work on as before.
class Registered {
 public:
  static bool Add(Library::Kind kind, void (*fill)(Library&), const char* ns, const char* key,
                  const char* file, uint32_t line) {
    Registered& all = Instance();
    if (all.refused_) return false;
    try {
      all.libraries_.push_back(std::make_unique<Library>(kind, ns, key, file, line));
      fill(*all.libraries_.back());
    } catch (const std::exception& error) {
      all.refused_ = true;
      all.libraries_.clear();
      // Whoever loads the file without the package has no other way to know.
      std::fprintf(
          stderr,
          "stablekv: torch refuses the operators of %s (%s), so none is registered: another "
          "library has one of the same name, or another copy of this one is loaded\n",
          ns, error.what());
    }
    return !all.refused_;
  }

  static bool Refused() { return Instance().refused_; }

 private:
  static Registered& Instance() {
    static Registered registered;
    return registered;
  }

  std::vector<std::unique_ptr<Library>> libraries_;
  bool refused_ = false;
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_REGISTERED_H_
