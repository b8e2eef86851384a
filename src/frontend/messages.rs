//! Messages of DataFusion and its libraries that name no remedy, or print their own data structures, in the words of SQL (the rule
//! `messages`). [`KNOWN`] is the table; a message that is in none of its rows passes unchanged.

use datafusion::error::DataFusionError;

/// The name of the rule in `xla.frontend_rules`.
pub const NAME: &str = "messages";

/// A message that is known.
struct Known {
    /// Text that it has.
    sign: &'static str,
    /// What is said instead; `None` if this is another message after all.
    say: fn(&str) -> Option<String>,
}

const KNOWN: &[Known] = &[
    Known { sign: "Physical plan does not support logical expression ", say: unplannable },
    Known { sign: "Too many columns! The subquery should only return one column", say: too_many_columns },
    Known { sign: " failed to match any signature", say: wrong_arguments },
    Known { sign: "Failed to coerce arguments to satisfy a call to ", say: wrong_arguments },
    Known { sign: " is declared as non-nullable but contains null values", say: null_in_column },
    Known { sign: "Invalid batch column at '", say: null_in_position },
    Known { sign: "Unary operator '+' only supports", say: plus },
    Known { sign: "Error while parsing value '", say: csv_value },
    Known { sign: "Projections require unique expression names", say: same_names },
    Known { sign: "This issue was likely caused by a bug in DataFusion's code", say: bug },
];

/// Functions that take numbers only.
const NUMERIC: [&str; 10] =
    ["sum", "avg", "mean", "stddev", "stddev_pop", "stddev_samp", "var", "var_pop", "var_samp", "median"];

/// An error with its message in the words of SQL, if it is known.
pub fn explain(error: DataFusionError) -> DataFusionError {
    let text = error.strip_backtrace();
    let Some(said) = KNOWN.iter().filter(|known| text.contains(known.sign)).find_map(|known| (known.say)(&text)) else {
        return error;
    };
    match error.find_root() {
        DataFusionError::Plan(_) | DataFusionError::NotImplemented(_) | DataFusionError::SchemaError(..) => {
            DataFusionError::Plan(said)
        }
        DataFusionError::Internal(_) if text.contains("signature") => DataFusionError::Plan(said),
        _ => DataFusionError::Execution(said),
    }
}

/// What stands between two pieces of a text.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(inside, _)| inside)
}

fn unplannable(text: &str) -> Option<String> {
    let (_, expression) = text.split_once("Physical plan does not support logical expression ")?;
    let kind = expression.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    Some(match kind {
        "InSubquery" | "Exists" | "ScalarSubquery" | "SetComparison" => {
            "a subquery stands where it cannot be planned; \
             move it to the SELECT list, WHERE, HAVING or ON of a query, or join with it"
                .to_string()
        }
        "OuterReferenceColumn" => "a subquery reads a column of the query around it where that cannot be planned; \
             join the tables instead"
            .to_string(),
        "Wildcard" => "* stands where an expression is needed; name the columns".to_string(),
        "GroupingSet" => "GROUPING SETS, CUBE and ROLLUP are for GROUP BY only".to_string(),
        "AggregateFunction" => {
            "an aggregate function stands where there is no aggregation; move it to the SELECT list or HAVING"
                .to_string()
        }
        "WindowFunction" => "a window function stands where it cannot be planned; compute it in a subquery".to_string(),
        "Placeholder" => {
            "the statement has a parameter without a value; PREPARE it, and EXECUTE it with values".to_string()
        }
        "Unnest" => "unnest stands where it cannot be planned; move it to the SELECT list or FROM".to_string(),
        _ => format!("an expression of the kind {kind} stands where it cannot be planned"),
    })
}

fn too_many_columns(text: &str) -> Option<String> {
    let (_, columns) = text.split_once("should only return one column")?;
    let columns = columns.trim_start_matches([':', ' ']);
    let columns = columns.lines().next().unwrap_or_default();
    let found = if columns.is_empty() { String::new() } else { format!(", not {columns}") };
    Some(format!(
        "a subquery that is a value or stands after IN has one column{found}; several columns are compared as \
         (a, b) IN (SELECT x, y ..)"
    ))
}

/// Most lists of arguments of a function that are shown: `date_bin` has more than twenty.
const MOST_CANDIDATES: usize = 4;

fn wrong_arguments(text: &str) -> Option<String> {
    let function = between(text, "Function '", "'").or_else(|| between(text, "a call to '", "'"))?;
    // `No function matches the given name and argument types 'substr(Utf8View, Int16)'. .. Candidate functions:` and a line for each.
    let given = between(text, "argument types '", "'").and_then(|call| call.strip_prefix(function));
    let given = given.map(|types| types.strip_prefix('(').and_then(|types| types.strip_suffix(')')).unwrap_or(types));
    let given = given.or_else(|| between(text, "coercion from ", " to the signature"));
    if NUMERIC.contains(&function) {
        let given = given.map(|types| match types.trim_matches(['[', ']']) {
            "Utf8" | "Utf8View" | "LargeUtf8" => ", not text".to_string(),
            types => format!(", not {types}"),
        });
        let given = given.unwrap_or_default();
        return Some(format!(
            "{function} takes numbers{given}; convert the argument, for example {function}(CAST(x AS DOUBLE))"
        ));
    }
    let given = given.map(|types| format!(", not ({types})")).unwrap_or_default();
    let candidates = text.split_once("Candidate functions:").map(|(_, lines)| lines.lines().map(str::trim));
    let candidates = candidates.map(|lines| lines.filter_map(|line| line.strip_prefix(function)).collect::<Vec<_>>());
    let candidates = candidates.unwrap_or_default();
    let shown = candidates.len().min(MOST_CANDIDATES);
    let others = if candidates.len() > shown { " or others" } else { "" };
    Some(match candidates[..shown].join(" or ") + others {
        takes if takes.is_empty() => {
            format!("{function} does not take these arguments{given}; convert them with CAST(x AS type)")
        }
        takes => format!("{function} takes {takes}{given}; convert the arguments with CAST(x AS type)"),
    })
}

fn null_in_column(text: &str) -> Option<String> {
    let column = between(text, "Column '", "' is declared")?;
    Some(format!("column {column} is NOT NULL, and a value for it is NULL; give a value, for example with COALESCE"))
}

fn null_in_position(text: &str) -> Option<String> {
    let position: usize = between(text, "Invalid batch column at '", "'")?.parse().ok()?;
    Some(format!(
        "column {} of the table is NOT NULL, and a value for it is NULL; give a value, for example with COALESCE",
        position + 1
    ))
}

fn plus(_: &str) -> Option<String> {
    Some(
        "+ before a value takes numbers, intervals and timestamps; leave it out, or convert the value, for example \
         + CAST(x AS DOUBLE)"
            .to_string(),
    )
}

/// The reader of a CSV file counts columns from 0, and does not know its file.
fn csv_value(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("Error while parsing value '")?;
    let (value, rest) = rest.split_once("' as type '")?;
    let (data_type, rest) = rest.split_once("' for column ")?;
    let (column, rest) = rest.split_once(" at line ")?;
    let (line, _) = rest.split_once('.')?;
    let column: usize = column.parse().ok()?;
    Some(format!(
        "a CSV file has a value that is no {data_type}: '{value}', near line {line}, column {}; the types of the columns are \
         those of the first rows, and CREATE EXTERNAL TABLE with a list of columns gives others",
        column + 1
    ))
}

fn same_names(text: &str) -> Option<String> {
    let name = text.split("but the expression \"").nth(1)?.split('"').next()?;
    Some(format!("two columns are named {name}; give them different names with AS"))
}

fn bug(text: &str) -> Option<String> {
    let (what, _) = text.split_once("This issue was likely caused by a bug")?;
    let what = what.trim().trim_end_matches('.');
    let what = what.strip_prefix("Internal error: ").unwrap_or(what);
    let short: String = what.chars().take(300).collect();
    let cut = if short.len() < what.len() { " .." } else { "" };
    Some(format!("this statement meets a fault of the planner ({short}{cut}); please report it"))
}

#[cfg(test)]
mod tests {
    use datafusion::error::DataFusionError;

    use crate::frontend::messages::explain;

    fn said(text: &str) -> String {
        explain(DataFusionError::Plan(text.to_string())).strip_backtrace()
    }

    #[test]
    fn known_messages_name_a_remedy() {
        let text = "Physical plan does not support logical expression InSubquery(InSubquery { expr: Column(Column { ..";
        assert!(said(text).contains("a subquery stands where"), "{}", said(text));
        let text = "Too many columns! The subquery should only return one column: a.x, a.y\n\nat ..";
        assert!(said(text).contains("has one column, not a.x, a.y; several"), "{}", said(text));
        let text =
            "Parser error: Error while parsing value '4.x4' as type 'Int64' for column 1 at line 4. Row data: '[4]'";
        assert!(said(text).contains("no Int64: '4.x4', near line 4, column 2"), "{}", said(text));
        let text = "Internal error: Function 'sum' failed to match any signature, errors: ..\nNo function matches the given name \
                    and argument types 'sum(Utf8)'. You might need to add explicit type casts.";
        assert!(
            said(text)
                .ends_with("sum takes numbers, not text; convert the argument, for example sum(CAST(x AS DOUBLE))")
        );
        let text = "Internal error: Function 'substr' failed to match any signature, errors: .. argument types \
                    'substr(Utf8View, Int16)'. ..\n\tCandidate functions:\n\tsubstr(str: String, start_pos: Int64)";
        assert!(
            said(text).contains("substr takes (str: String, start_pos: Int64), not (Utf8View, Int16)"),
            "{}",
            said(text)
        );
    }

    #[test]
    fn other_messages_pass() {
        assert_eq!(said("No field named a."), "Error during planning: No field named a.");
    }
}
