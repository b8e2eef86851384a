//! The names that a session knows: tables with their columns, functions and options.

use datafusion::prelude::SessionContext;

/// A snapshot of the names, for completion and `\d`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// In the order of their names; information_schema is left out.
    pub tables: Vec<TableNames>,
    /// Scalar, aggregate and window functions.
    pub functions: Vec<String>,
    /// Functions that stand where a table stands.
    pub table_functions: Vec<String>,
    /// Options that SET takes, with their values.
    pub options: Vec<(String, String)>,
}

/// A table and its columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableNames {
    /// As it is written in SQL: with its schema unless that is the default, quoted where it must be.
    pub sql: String,
    /// As it is.
    pub name: String,
    /// The names of its columns, as they are.
    pub columns: Vec<String>,
}

impl Names {
    /// Reads the names of the default catalog.
    pub async fn read(ctx: &SessionContext) -> Self {
        let state = ctx.state();
        let config = state.config_options();
        let defaults = &config.catalog;
        let mut tables = Vec::new();
        let catalog = ctx.catalog(&defaults.default_catalog);
        let schemas = catalog.as_ref().map(|catalog| catalog.schema_names()).unwrap_or_default();
        for schema_name in schemas.into_iter().filter(|name| name != "information_schema") {
            let Some(schema) = catalog.as_ref().and_then(|catalog| catalog.schema(&schema_name)) else { continue };
            for name in schema.table_names() {
                // A table that cannot be opened has a name all the same.
                let table = schema.table(&name).await.ok().flatten();
                let fields = table.map(|table| table.schema().fields().clone()).unwrap_or_default();
                let columns = fields.iter().map(|field| field.name().clone()).collect();
                let sql = if schema_name == defaults.default_schema {
                    quote(&name)
                } else {
                    format!("{}.{}", quote(&schema_name), quote(&name))
                };
                tables.push(TableNames { sql, name, columns });
            }
        }
        tables.sort_by(|a, b| a.sql.cmp(&b.sql));
        let aggregates = state.aggregate_functions().keys();
        let functions = state.scalar_functions().keys().chain(aggregates).chain(state.window_functions().keys());
        let options = config.entries().into_iter().map(|entry| (entry.key, entry.value.unwrap_or_default()));
        let mut options: Vec<(String, String)> = options.collect();
        options.sort();
        Self {
            tables,
            functions: sorted(functions.cloned()),
            table_functions: sorted(state.table_functions().keys().cloned()),
            options,
        }
    }
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.filter(|name| !name.starts_with("__")).collect();
    names.sort();
    names.dedup();
    names
}

/// A name as SQL needs it: in quotes unless it is lower case and has only letters, digits and `_`.
pub fn quote(name: &str) -> String {
    let plain = |c: char| c == '_' || (c.is_alphabetic() && !c.is_uppercase()) || c.is_ascii_digit();
    if name.chars().all(plain) && name.starts_with(|c: char| !c.is_ascii_digit()) {
        return name.to_string();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use crate::shell::names::{Names, quote};

    #[tokio::test]
    async fn names_are_written_as_sql_needs_them() {
        assert_eq!(
            ["a_1", "Name", "1st", "a b", "q\"q"].map(quote),
            ["a_1", "\"Name\"", "\"1st\"", "\"a b\"", "\"q\"\"q\""]
        );
        let ctx = SessionContext::new();
        for sql in ["CREATE SCHEMA s", "CREATE TABLE s.t AS SELECT 1 AS x", "CREATE TABLE \"B\" AS SELECT 1 AS y"] {
            ctx.sql(sql).await.unwrap();
        }
        let names = Names::read(&ctx).await;
        let tables: Vec<_> = names.tables.iter().map(|table| (table.sql.as_str(), table.columns.join(","))).collect();
        assert_eq!(tables, [("\"B\"", "y".to_string()), ("s.t", "x".to_string())]);
        assert!(names.functions.contains(&"substr".to_string()));
        assert!(names.table_functions.contains(&"generate_series".to_string()));
        assert!(names.options.iter().any(|(key, _)| key == "datafusion.execution.batch_size"));
    }
}
