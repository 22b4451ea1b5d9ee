// From the stack that torch calls an operator with to a function's own arguments.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_BOXED_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_BOXED_H_

#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "csrc/libtorch_stable/string_arg.h"
#include "csrc/libtorch_stable/target_version.h"
#include "csrc/libtorch_stable/tensor.h"

namespace stablekv {

// What a value on the stack stands for; what it owns is the result's.
template <typename T>
struct Unboxed;

template <>
struct Unboxed<Tensor> {
  static Tensor From(StableIValue value) {
    return Tensor(reinterpret_cast<AtenTensorHandle>(value));
  }
};

template <>
struct Unboxed<StringArg> {
  static StringArg From(StableIValue value) {
    return StringArg(reinterpret_cast<StringHandle>(value));
  }
};

template <>
struct Unboxed<int64_t> {
  static int64_t From(StableIValue value) { return static_cast<int64_t>(value); }
};

template <>
struct Unboxed<bool> {
  static bool From(StableIValue value) { return value != 0; }
};

template <>
struct Unboxed<double> {
  static double From(StableIValue value) {
    static_assert(sizeof(double) == sizeof(StableIValue));
    double number;
    std::memcpy(&number, &value, sizeof(number));
    return number;
  }
};

// Null, or a value that torch has allocated.
template <typename T>
struct Unboxed<std::optional<T>> {
  static std::optional<T> From(StableIValue value) {
    const std::unique_ptr<StableIValue> inner(reinterpret_cast<StableIValue*>(value));
    if (inner == nullptr) return std::nullopt;
    return Unboxed<T>::From(*inner);
  }
};

// `Boxed<&function>::Call` is `function`, of whatever parameters, as torch calls it. TORCH_BOX of
// torch's headers does the same by conversions that are dearer: what docs/abi.md measures.
template <auto function>
struct Boxed;

template <typename... Params, void (*function)(Params...)>
struct Boxed<function> {
  static void Call(StableIValue* stack, uint64_t num_args, uint64_t num_outputs) {
    if (num_args != sizeof...(Params) || num_outputs != 0) {
      throw std::runtime_error("stablekv: an operator's schema is not that of its function");
    }
    CallWith(stack, std::index_sequence_for<Params...>());
  }

 private:
  template <size_t... I>
  static void CallWith(StableIValue* stack, std::index_sequence<I...>) {
    function(Unboxed<std::decay_t<Params>>::From(stack[I])...);
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_BOXED_H_
