// The little that the kernels' C++ tests need: checks that print what differed, and an exit code.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_TESTING_H_
#define STABLEKV_CSRC_KERNELS_COMMON_TESTING_H_

#include <cstdint>
#include <iostream>
#include <sstream>
#include <string>

namespace stablekv::testing {

struct Counts {
  long checks = 0;
  long failures = 0;
};

inline Counts& GlobalCounts() {
  static Counts counts;
  return counts;
}

// Prints the first failures only: a broken kernel fails everywhere.
inline void Record(bool ok, const char* file, int line, const std::string& what) {
  Counts& counts = GlobalCounts();
  ++counts.checks;
  if (ok) return;
  if (++counts.failures <= 20) std::cerr << file << ":" << line << ": " << what << "\n";
}

// What `main` returns: 0 when something was checked and nothing failed.
inline int Finish() {
  const Counts& counts = GlobalCounts();
  std::cerr << counts.checks << " checks, " << counts.failures << " failures\n";
  return counts.checks > 0 && counts.failures == 0 ? 0 : 1;
}

// A ParallelFor that hands out ranges of `kItems`, the last first: nothing may depend on the order
// or on where a range begins.
template <int64_t kItems = 1>
void BackwardsFor(int64_t begin, int64_t end, int64_t /*grain*/,
                  void (*body)(int64_t, int64_t, void*), void* context) {
  while (begin < end) {
    const int64_t from = end - begin > kItems ? end - kItems : begin;
    body(from, end, context);
    end = from;
  }
}

}  // namespace stablekv::testing

// Checks `condition`; `detail` is streamed into the message: CHECK_THAT(a < b, "a " << a).
#define CHECK_THAT(condition, detail)                                                  \
  do {                                                                                 \
    const bool stablekv_ok = static_cast<bool>(condition);                             \
    std::ostringstream stablekv_what;                                                  \
    if (!stablekv_ok) stablekv_what << #condition << " is false: " << detail;          \
    ::stablekv::testing::Record(stablekv_ok, __FILE__, __LINE__, stablekv_what.str()); \
  } while (false)

#define CHECK_EQUAL(got, want, detail)                                                        \
  do {                                                                                        \
    const auto stablekv_got = (got);                                                          \
    const auto stablekv_want = (want);                                                        \
    const bool stablekv_ok = stablekv_got == stablekv_want;                                   \
    std::ostringstream stablekv_what;                                                         \
    if (!stablekv_ok) {                                                                       \
      stablekv_what << #got << " is " << +stablekv_got << ", want " << +stablekv_want << ": " \
                    << detail;                                                                \
    }                                                                                         \
    ::stablekv::testing::Record(stablekv_ok, __FILE__, __LINE__, stablekv_what.str());        \
  } while (false)

// `expression` gives a Status that must be an error whose message contains `text`.
#define CHECK_ERROR(expression, text)                                                      \
  do {                                                                                     \
    const ::stablekv::Status stablekv_status = (expression);                               \
    CHECK_THAT(stablekv_status.message().find(text) != std::string::npos,                  \
               "message \"" << stablekv_status.message() << "\", want \"" << text << '"'); \
  } while (false)

#define CHECK_OK(expression, detail)                                               \
  do {                                                                             \
    const ::stablekv::Status stablekv_status = (expression);                       \
    CHECK_THAT(stablekv_status.ok(), stablekv_status.message() << ": " << detail); \
  } while (false)

#endif  // STABLEKV_CSRC_KERNELS_COMMON_TESTING_H_
