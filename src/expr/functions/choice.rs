//! Converts calls of GREATEST, LEAST and NULLIF. DataFusion turns COALESCE, NVL and NVL2 into CASE.

use crate::columnar::representation::Kind;
use crate::expr::functions::call::{Call, Converted};
use crate::expr::ir::{Choice, Function, Node};

fn choice(call: &Call, choice: Choice) -> Converted {
    let args = call.args()?;
    let kind = Kind::of(call.data_type);
    let same = args.iter().all(|arg| arg.data_type == *call.data_type || kind == Some(Kind::String));
    match same && !args.is_empty() {
        true => Ok(Node::Function(Function::Choice(choice), args)),
        false => Err(call.refuse("arguments of different types have no device form")),
    }
}

pub fn convert_greatest(call: &Call) -> Converted {
    choice(call, Choice::Greatest)
}

pub fn convert_least(call: &Call) -> Converted {
    choice(call, Choice::Least)
}

pub fn convert_nullif(call: &Call) -> Converted {
    choice(call, Choice::NullIf)
}
