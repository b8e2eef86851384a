// Stub: XLA's public headers only name mlir::DialectRegistry, by reference.
#ifndef PARALLAX_STUB_MLIR_IR_DIALECTREGISTRY_H_
#define PARALLAX_STUB_MLIR_IR_DIALECTREGISTRY_H_

namespace mlir {

class DialectRegistry;

}  // namespace mlir

#endif  // PARALLAX_STUB_MLIR_IR_DIALECTREGISTRY_H_
