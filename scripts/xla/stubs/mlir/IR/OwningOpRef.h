// Stub: the return type of XLA's HLO-to-StableHLO functions, which Parallax does not call.
#ifndef PARALLAX_STUB_MLIR_IR_OWNINGOPREF_H_
#define PARALLAX_STUB_MLIR_IR_OWNINGOPREF_H_

namespace mlir {

// Not trivially copyable, as in MLIR, so that it is returned through memory.
template <typename OpTy>
class __attribute__((visibility("hidden"))) OwningOpRef {
 public:
  OwningOpRef(OwningOpRef&& other) : op_(other.op_) { other.op_ = OpTy(); }
  ~OwningOpRef() {}
  OpTy* operator->() { return &op_; }

 private:
  OpTy op_;
};

}  // namespace mlir

#endif  // PARALLAX_STUB_MLIR_IR_OWNINGOPREF_H_
