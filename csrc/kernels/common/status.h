// Outcome of a check or a launch: ok, or a message for the caller of the operator.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_STATUS_H_
#define STABLEKV_CSRC_KERNELS_COMMON_STATUS_H_

#include <string>
#include <utility>

namespace stablekv {

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  static Status Error(std::string message) { return Status(std::move(message)); }

  bool ok() const { return message_.empty(); }
  const std::string& message() const { return message_; }

 private:
  explicit Status(std::string message) : message_(std::move(message)) {}
  std::string message_;
};

}  // namespace stablekv

// Returns from the enclosing function when `expression` is an error.
#define STABLEKV_RETURN_IF_ERROR(expression)           \
  do {                                                 \
    ::stablekv::Status stablekv_status = (expression); \
    if (!stablekv_status.ok()) return stablekv_status; \
  } while (false)

#endif  // STABLEKV_CSRC_KERNELS_COMMON_STATUS_H_
