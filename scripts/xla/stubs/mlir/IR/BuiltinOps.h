// Stub: XLA's public headers name mlir::ModuleOp, by value. In MLIR it is one pointer, trivially copyable, and must
// stay so here: it is passed in a register through virtual functions of PjRtClient.
#ifndef PARALLAX_STUB_MLIR_IR_BUILTINOPS_H_
#define PARALLAX_STUB_MLIR_IR_BUILTINOPS_H_

#include "llvm/Support/raw_ostream.h"

namespace mlir {

class Operation;

class ModuleOp {
 public:
  // xla_rs.cc instantiates this; Parallax never calls to_stablehlo_string, the one way to get here.
  void print(llvm::raw_string_ostream&) {}

 private:
  Operation* state_ = nullptr;
};

static_assert(sizeof(ModuleOp) == sizeof(void*), "ModuleOp is one pointer in MLIR");

}  // namespace mlir

#endif  // PARALLAX_STUB_MLIR_IR_BUILTINOPS_H_
