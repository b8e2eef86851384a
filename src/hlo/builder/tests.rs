//! Tests of the builder: sharing, dead instructions, folding, values of other computations, and `finish`.

use crate::hlo::builder::{Builder, Value};
use crate::hlo::error::Result;
use crate::hlo::operation::{Comparison, ReduceKind};
use crate::hlo::scalar::Scalar;
use crate::program::{ElementType, Shape};

fn column(b: &mut Builder, element_type: ElementType) -> Value {
    b.parameter(Shape::new(element_type, [8]))
}

/// The example of `hlo`'s documentation.
#[test]
fn the_example_builds() -> Result<()> {
    let mut b = Builder::new("masked_sum");
    let prices = b.parameter(Shape::new(ElementType::S64, [1024]));
    let limit = b.parameter(Shape::scalar(ElementType::S64));
    let mask = b.compare(prices, limit, Comparison::Lt)?;
    let zero = b.constant(Scalar::S64(0));
    let masked = b.select(mask, prices, zero)?;
    let sum = b.reduce(masked, zero, &[0], ReduceKind::Add)?;
    assert_eq!(b.shape(mask), &Shape::new(ElementType::Pred, [1024]));
    assert_eq!(b.parameter_count(), 2);
    let program = b.finish(&[sum], &[])?;
    assert_eq!(program.outputs, [Shape::scalar(ElementType::S64)]);
    assert_eq!(program.parameters, [Shape::new(ElementType::S64, [1024]), Shape::scalar(ElementType::S64)]);
    Ok(())
}

#[test]
fn identical_instructions_are_shared() -> Result<()> {
    let mut b = Builder::new("shared");
    let (x, y) = (column(&mut b, ElementType::S32), column(&mut b, ElementType::S32));
    assert_ne!(x, y);
    assert_eq!(b.add(x, y)?, b.add(x, y)?);
    assert_ne!(b.add(x, y)?, b.add(y, x)?);
    assert_ne!(b.compare(x, y, Comparison::Lt)?, b.compare(x, y, Comparison::Le)?);
    assert_eq!(b.constant(Scalar::S32(1)), b.constant_of(ElementType::S32, 1)?);
    assert_ne!(b.constant(Scalar::F64(0.0)), b.constant(Scalar::F64(-0.0)));
    let one = b.constant(Scalar::S32(1));
    assert_eq!(b.broadcast(one, &[8])?, b.broadcast(one, &[8])?);
    let key = column(&mut b, ElementType::U32);
    assert_eq!(b.sort_unsigned(key, None)?, b.sort_unsigned(key, None)?);
    Ok(())
}

#[test]
fn dead_instructions_are_not_printed() -> Result<()> {
    let build = |with_dead: bool| -> Result<String> {
        let mut b = Builder::new("dead_or_alive");
        let (x, _unused) = (column(&mut b, ElementType::S64), column(&mut b, ElementType::S32));
        let zero = b.constant(Scalar::S64(0));
        if with_dead {
            let one = b.constant(Scalar::S64(1));
            let next = b.add(x, one)?;
            b.reduce(next, zero, &[0], ReduceKind::Maximum)?;
        }
        let sum = b.reduce(x, zero, &[0], ReduceKind::Add)?;
        Ok(b.finish(&[sum], &[])?.text)
    };
    let text = build(true)?;
    assert_eq!(text, build(false)?);
    assert!(text.contains("p1 = s32[8] parameter(1)"), "{text}");
    assert!(!text.contains("maximum"), "{text}");
    Ok(())
}

#[test]
fn identities_are_folded() -> Result<()> {
    let mut b = Builder::new("folds");
    let (p, q) = (column(&mut b, ElementType::Pred), b.parameter(Shape::scalar(ElementType::Pred)));
    let x = column(&mut b, ElementType::S32);
    let (yes, no) = (b.constant(Scalar::Pred(true)), b.constant(Scalar::Pred(false)));
    let (all, none) = (b.broadcast(yes, &[8])?, b.broadcast(no, &[8])?);
    assert_eq!(b.and(p, yes)?, p);
    assert_eq!(b.and(all, p)?, p);
    assert_eq!(b.or(none, p)?, p);
    assert_eq!(b.and(p, no)?, none);
    assert_eq!(b.or(yes, p)?, all);
    assert_eq!(b.and(none, q)?, none);
    assert_eq!(b.and(yes, no)?, no);
    assert_eq!(b.and(p, p)?, p);
    let wide = b.broadcast(q, &[8])?;
    assert_eq!(b.and(q, all)?, wide);
    let not = b.not(p)?;
    assert_eq!(b.not(not)?, p);
    assert_eq!(b.convert(x, ElementType::S32)?, x);
    let seven = b.constant(Scalar::S32(7));
    let sevens = b.broadcast(seven, &[8])?;
    assert_eq!(b.select(yes, x, seven)?, x);
    assert_eq!(b.select(none, x, seven)?, sevens);
    assert_eq!(b.select(p, seven, seven)?, sevens);
    assert_eq!(b.reshape(sevens, &[2, 4])?, b.broadcast(seven, &[2, 4])?);
    let square = b.reshape(x, &[2, 4])?;
    assert_eq!(b.reshape(square, &[8])?, x);
    assert_eq!(b.broadcast_in_dim(sevens, &[3, 8], &[1])?, b.broadcast(seven, &[3, 8])?);
    assert_eq!(b.transpose(square, &[0, 1])?, square);
    assert_eq!(b.slice(x, &[0], &[8], &[1])?, x);
    assert_eq!(b.concatenate(&[x], 0)?, x);
    assert_eq!(b.pad(x, seven, &[0], &[0], &[0])?, x);
    Ok(())
}

#[test]
fn values_of_another_computation_are_errors() -> Result<()> {
    let (mut b, mut other) = (Builder::new("one"), Builder::new("other"));
    let (x, y) = (column(&mut b, ElementType::S32), column(&mut other, ElementType::S32));
    let message = "add: an operand belongs to another computation; pass it in as a parameter or loop-carried value";
    assert_eq!(b.add(x, y).unwrap_err().to_string(), message);
    assert_eq!(b.shape(y), &Shape::scalar(ElementType::Pred));
    let captured = b.while_loop(&[x], |b, _| b.compare(x, x, Comparison::Lt), |_, carried| Ok(carried.to_vec()));
    assert!(captured.is_err());
    let leaked = b.sort(&[x], 0, true, |_, _, _| Ok(x));
    assert!(leaked.is_err());
    // The failed computations left the builder intact.
    let zero = b.constant(Scalar::S32(0));
    let sum = b.reduce(x, zero, &[0], ReduceKind::Add)?;
    assert!(b.finish(&[sum], &[]).is_ok());
    Ok(())
}

#[test]
fn called_computations_are_checked() -> Result<()> {
    let mut b = Builder::new("called");
    let x = column(&mut b, ElementType::S32);
    let error = b.while_loop(
        &[x],
        |b, carried| b.compare(carried[0], carried[0], Comparison::Lt),
        |_, carried| Ok(carried.to_vec()),
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "while: the result of the condition or comparator is not pred[]: pred[8]"
    );
    let error = b.while_loop(&[x], |b, _| Ok(b.constant(Scalar::Pred(false))), |b, _| Ok(vec![b.replica_id()]));
    assert_eq!(error.unwrap_err().to_string(), "while: the called computation should give (s32[8]): u32[]");
    let error = b.sort(&[x], 0, true, |b, _, _| {
        b.parameter(Shape::scalar(ElementType::S32));
        Ok(b.constant(Scalar::Pred(true)))
    });
    assert_eq!(
        error.unwrap_err().to_string(),
        "sort: the called computation should have 2 parameters and its own root: no operands"
    );
    let flags = column(&mut b, ElementType::Pred);
    let no = b.constant(Scalar::Pred(false));
    assert_eq!(
        b.reduce(flags, no, &[0], ReduceKind::Add).unwrap_err().to_string(),
        "add: takes integers or floats: pred[]"
    );
    Ok(())
}

#[test]
fn finish_checks_outputs_and_aliases() -> Result<()> {
    let error = |outputs: usize, aliases: &[(usize, usize)]| {
        let mut b = Builder::new("aliased");
        let x = column(&mut b, ElementType::S32);
        let y = column(&mut b, ElementType::S64);
        b.finish(&[x, y][..outputs], aliases).unwrap_err().to_string()
    };
    assert_eq!(error(0, &[]), "finish: a program needs at least one output");
    assert_eq!(error(2, &[(2, 0)]), "finish: no output 2 or no parameter 0 to alias");
    assert_eq!(error(2, &[(0, 1)]), "finish: output 0 is s32[8], but parameter 1 is s64[8]: no alias");
    assert_eq!(error(2, &[(0, 0), (0, 0)]), "finish: output 0 or parameter 0 is aliased twice");
    Ok(())
}

#[test]
fn names_are_not_types_or_keywords() -> Result<()> {
    for (name, header) in [
        ("filter_aggregate", "HloModule filter_aggregate\n"),
        ("s32", "HloModule module_s32\n"),
        ("Q6: filter, sum", "HloModule Q6__filter__sum\n"),
        ("6_rows", "HloModule module_6_rows\n"),
        ("", "HloModule module_\n"),
    ] {
        let mut b = Builder::new(name);
        let x = column(&mut b, ElementType::S32);
        let program = b.finish(&[x], &[])?;
        assert!(program.text.starts_with(header), "{}", program.text);
        assert_eq!(program.name, name);
    }
    Ok(())
}
