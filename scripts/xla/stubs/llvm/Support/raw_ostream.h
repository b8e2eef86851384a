// Stub: xla_rs.cc makes a raw_string_ostream in hlo_module_proto_to_stablehlo_string, which Parallax does not call.
#ifndef PARALLAX_STUB_LLVM_SUPPORT_RAW_OSTREAM_H_
#define PARALLAX_STUB_LLVM_SUPPORT_RAW_OSTREAM_H_

#include <string>

namespace llvm {

class raw_ostream;

class __attribute__((visibility("hidden"))) raw_string_ostream {
 public:
  explicit raw_string_ostream(std::string&) {}
  void flush() {}
};

}  // namespace llvm

#endif  // PARALLAX_STUB_LLVM_SUPPORT_RAW_OSTREAM_H_
