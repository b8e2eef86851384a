//! Writes expressions and conditions in the common dialect. Every expression stands in parentheses or is a call, because
//! the precedence of operators is not the same everywhere.

use crate::oracle::data::WORDS;
use crate::oracle::query::Writer;
use crate::oracle::tree::{Class, Sql};

const COMPARISONS: [&str; 8] = ["=", "=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM"];

impl Writer {
    /// An expression of a type. At depth 0 it is a column or a literal.
    pub(super) fn value(&mut self, class: Class, depth: usize) -> Sql {
        if class == Class::Truth {
            return self.truth(depth);
        }
        if depth == 0 || self.structure.below(3) > 0 {
            return self.leaf(class);
        }
        if self.may_nest() && self.structure.one_in(5) {
            let query = self.scalar_subquery(class);
            return Sql::of(class, vec![Sql::text("("), query, Sql::text(")")]);
        }
        match self.structure.below(8) {
            0 | 1 => self.case(class, depth - 1),
            2 => self.function("coalesce", class, depth - 1),
            3 => self.function("nullif", class, depth - 1),
            _ => match class {
                Class::Integer | Class::Float => self.number(class, depth - 1),
                Class::Text => self.text(depth - 1),
                _ => self.leaf(class),
            },
        }
    }

    fn leaf(&mut self, class: Class) -> Sql {
        if !self.structure.one_in(6)
            && let Some(column) = self.atom(class)
        {
            return column;
        }
        self.literal(class)
    }

    fn literal(&mut self, class: Class) -> Sql {
        match class {
            Class::Text => {
                let word = *self.literals.pick(&WORDS);
                Sql::of(class, vec![Sql::text(format!("'{word}'"))])
            }
            Class::Date => {
                let (month, day) = (self.literals.between(1, 3), self.literals.between(1, 28));
                Sql::of(class, vec![Sql::Date(format!("2020-{month:02}-{day:02}"))])
            }
            _ => {
                let number = self.literals.between(-3, 6);
                let number = if number < 0 { format!("({number})") } else { number.to_string() };
                Sql::of(class, vec![Sql::text(number)])
            }
        }
    }

    fn function(&mut self, name: &str, class: Class, depth: usize) -> Sql {
        let (a, b) = (self.value(class, depth), self.value(class, depth));
        Sql::of(class, vec![Sql::text(format!("{name}(")), a, Sql::text(", "), b, Sql::text(")")])
    }

    fn case(&mut self, class: Class, depth: usize) -> Sql {
        let mut parts = vec![Sql::text("CASE")];
        if self.structure.one_in(3) {
            // CASE x WHEN a THEN ..
            let of = *self.structure.pick(&[Class::Integer, Class::Text]);
            let operand = self.value(of, depth);
            parts.extend([Sql::text(" "), operand]);
            for _ in 0..1 + self.structure.below(2) {
                let (when, then) = (self.literal(of), self.value(class, depth));
                parts.extend([Sql::text(" WHEN "), when, Sql::text(" THEN "), then]);
            }
        } else {
            for _ in 0..1 + self.structure.below(2) {
                let (when, then) = (self.truth(depth), self.value(class, depth));
                parts.extend([Sql::text(" WHEN "), when, Sql::text(" THEN "), then]);
            }
        }
        if !self.structure.one_in(4) {
            let otherwise = self.value(class, depth);
            parts.push(Sql::optional(Sql::Sequence(vec![Sql::text(" ELSE "), otherwise])));
        }
        parts.push(Sql::text(" END"));
        Sql::of(class, parts)
    }

    fn number(&mut self, class: Class, depth: usize) -> Sql {
        match self.structure.below(if class == Class::Integer { 9 } else { 3 }) {
            0 | 1 => {
                let operator = *self.structure.pick(&["+", "-"]);
                let (a, b) = (self.value(class, depth), self.value(class, depth));
                Sql::of(class, vec![Sql::text("("), a, Sql::text(format!(" {operator} ")), b, Sql::text(")")])
            }
            2 => {
                let a = self.value(class, depth);
                Sql::of(class, vec![Sql::text("abs("), a, Sql::text(")")])
            }
            3 | 4 => {
                let (a, n) = (self.value(class, depth), self.literals.between(2, 5));
                let operator = *self.structure.pick(&["*", "%"]);
                Sql::of(class, vec![Sql::text("("), a, Sql::text(format!(" {operator} {n})"))])
            }
            5 => {
                let a = self.value(class, depth);
                Sql::of(class, vec![Sql::text("(- "), a, Sql::text(")")])
            }
            6 | 7 => {
                let text = self.value(Class::Text, depth);
                Sql::of(class, vec![Sql::text("length("), text, Sql::text(")")])
            }
            _ => {
                let date = self.leaf(Class::Date);
                Sql::of(class, vec![Sql::Year(Box::new(date))])
            }
        }
    }

    fn text(&mut self, depth: usize) -> Sql {
        let class = Class::Text;
        match self.structure.below(6) {
            0 | 1 => {
                let (a, b) = (self.value(class, depth), self.value(class, depth));
                Sql::of(class, vec![Sql::text("("), a, Sql::text(" || "), b, Sql::text(")")])
            }
            2 => {
                let name = *self.structure.pick(&["upper", "lower", "trim"]);
                let text = self.value(class, depth);
                Sql::of(class, vec![Sql::text(format!("{name}(")), text, Sql::text(")")])
            }
            3 => {
                let text = self.value(class, depth);
                let (start, n) = (self.literals.between(1, 3), self.literals.between(0, 3));
                Sql::of(class, vec![Sql::text("substr("), text, Sql::text(format!(", {start}, {n})"))])
            }
            4 => {
                let text = self.value(class, depth);
                let (from, to) = (*self.literals.pick(&["a", "b", "ab"]), *self.literals.pick(&["", "x", "aa"]));
                Sql::of(class, vec![Sql::text("replace("), text, Sql::text(format!(", '{from}', '{to}')"))])
            }
            _ => {
                let number = self.value(Class::Integer, depth);
                Sql::of(class, vec![Sql::text("CAST("), number, Sql::text(" AS VARCHAR)")])
            }
        }
    }

    pub(super) fn truth(&mut self, depth: usize) -> Sql {
        let class = Class::Truth;
        if self.may_nest() && self.structure.one_in(3) {
            return self.truth_of_subquery();
        }
        match self.structure.below(if depth == 0 { 10 } else { 16 }) {
            0..=3 => self.comparison(depth),
            4 => {
                let of = self.comparable();
                let value = self.value(of, depth.saturating_sub(1));
                let is = *self.structure.pick(&["IS NULL", "IS NOT NULL"]);
                Sql::of(class, vec![Sql::text("("), value, Sql::text(format!(" {is})"))])
            }
            5 => {
                let of = self.comparable();
                let [value, low, high] = [1, 0, 0].map(|d| self.value(of, d.min(depth)));
                let between = *self.structure.pick(&[" BETWEEN ", " BETWEEN ", " NOT BETWEEN "]);
                let parts = [Sql::text("("), value, Sql::text(between), low, Sql::text(" AND "), high, Sql::text(")")];
                Sql::of(class, parts.to_vec())
            }
            6 | 7 => {
                let of = self.comparable();
                let value = self.value(of, depth.saturating_sub(1));
                let mut items: Vec<_> = (0..1 + self.structure.below(3)).map(|_| self.literal(of)).collect();
                if self.structure.one_in(5) {
                    items.push(Sql::text("NULL"));
                }
                let list = *self.structure.pick(&[" IN (", " IN (", " NOT IN ("]);
                Sql::of(class, vec![Sql::text("("), value, Sql::text(list), Sql::list(items, ", "), Sql::text("))")])
            }
            8 | 9 => {
                let text = self.value(Class::Text, depth.saturating_sub(1));
                let pattern = *self.literals.pick(&["a%", "%b", "%a%", "_b", "%", "", "a_c", "%B%", "_ %"]);
                let like = *self.structure.pick(&["LIKE", "LIKE", "NOT LIKE"]);
                Sql::of(class, vec![Sql::text("("), text, Sql::text(format!(" {like} '{pattern}')"))])
            }
            10..=12 => {
                let operator = *self.structure.pick(&[" AND ", " OR "]);
                let (a, b) = (self.truth(depth - 1), self.truth(depth - 1));
                Sql::of(class, vec![Sql::text("("), a, Sql::text(operator), b, Sql::text(")")])
            }
            13 => {
                let a = self.truth(depth - 1);
                let is = *self.structure.pick(&["IS NULL", "IS NOT NULL", "IS TRUE", "IS NOT TRUE", "IS FALSE"]);
                Sql::of(class, vec![Sql::text("("), a, Sql::text(format!(" {is})"))])
            }
            _ => {
                let a = self.truth(depth - 1);
                Sql::of(class, vec![Sql::text("(NOT "), a, Sql::text(")")])
            }
        }
    }

    fn comparable(&mut self) -> Class {
        *self.structure.pick(&[Class::Integer, Class::Integer, Class::Float, Class::Text, Class::Date])
    }

    fn comparison(&mut self, depth: usize) -> Sql {
        let of = self.comparable();
        let (a, b) = (self.value(of, depth.min(1)), self.value(of, depth.saturating_sub(1)));
        let operator = *self.structure.pick(&COMPARISONS);
        Sql::of(Class::Truth, vec![Sql::text("("), a, Sql::text(format!(" {operator} ")), b, Sql::text(")")])
    }

    fn truth_of_subquery(&mut self) -> Sql {
        let class = Class::Truth;
        match self.structure.below(8) {
            0..=2 => {
                let exists = *self.structure.pick(&["(EXISTS (", "(EXISTS (", "(NOT EXISTS ("]);
                let query = self.subquery(&[Class::Integer]);
                Sql::of(class, vec![Sql::text(exists), query, Sql::text("))")])
            }
            3..=5 => {
                let of = self.comparable();
                let value = self.value(of, 1);
                let list = *self.structure.pick(&[" IN (", " NOT IN ("]);
                let query = self.subquery(&[of]);
                Sql::of(class, vec![Sql::text("("), value, Sql::text(list), query, Sql::text("))")])
            }
            6 => {
                // Two columns at once.
                let outputs = [self.comparable(), self.comparable()];
                let [a, b] = outputs.map(|of| self.value(of, 0));
                let list = *self.structure.pick(&[") IN (", ") NOT IN ("]);
                let query = self.subquery(&outputs);
                let parts = [Sql::text("(("), a, Sql::text(", "), b, Sql::text(list), query, Sql::text("))")];
                Sql::of(class, parts.to_vec())
            }
            _ => {
                let of = self.comparable();
                let value = self.value(of, 0);
                let operator = *self.structure.pick(&COMPARISONS);
                let query = self.scalar_subquery(of);
                let parts = [Sql::text("("), value, Sql::text(format!(" {operator} (")), query, Sql::text("))")];
                Sql::of(class, parts.to_vec())
            }
        }
    }
}
