// Stub: XLA's public headers only name mlir::MLIRContext, by reference.
#ifndef PARALLAX_STUB_MLIR_IR_MLIRCONTEXT_H_
#define PARALLAX_STUB_MLIR_IR_MLIRCONTEXT_H_

namespace mlir {

class MLIRContext {};

}  // namespace mlir

#endif  // PARALLAX_STUB_MLIR_IR_MLIRCONTEXT_H_
