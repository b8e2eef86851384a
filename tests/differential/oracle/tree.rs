//! SQL as text with marks that say what can be left out, so that a query that shows a fault can be made smaller without
//! knowing its grammar. A smaller query that an engine rejects does not show the fault and is dropped.

use crate::oracle::dialect::Dialect;

/// What an expression or a query is, so that a part of it can stand in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Integer,
    Float,
    Text,
    Date,
    /// A condition.
    Truth,
    /// A SELECT or a set operation.
    Query,
    /// What stands after FROM.
    Source,
}

impl Class {
    /// Returns whether an expression of this class can stand for one of the other.
    pub fn is(self, other: Self) -> bool {
        self == other || (self == Self::Integer && other == Self::Float)
    }

    /// The smallest expressions of the class.
    fn constants(self) -> Vec<Sql> {
        match self {
            Self::Integer | Self::Float => vec![Sql::text("1"), Sql::text("NULL")],
            Self::Text => vec![Sql::text("'a'")],
            Self::Date => vec![Sql::Date("2020-01-01".to_string())],
            Self::Truth => vec![Sql::text("(1 = 1)")],
            Self::Query | Self::Source => Vec::new(),
        }
    }
}

/// Lists that lose the item of one place together: the outputs of both sides of a UNION, and their order.
pub type Group = usize;

#[derive(Clone, Debug, PartialEq)]
pub enum Sql {
    Text(String),
    /// The literal of a date, which SQLite keeps as text.
    Date(String),
    /// The year of a date.
    Year(Box<Sql>),
    Sequence(Vec<Sql>),
    /// A clause that can go.
    Optional(Box<Sql>),
    /// An ORDER BY that leaves no choice, and can go.
    TotalOrder(Box<Sql>),
    /// Items, of which one must stay. In a group they go in all lists of the group.
    List {
        items: Vec<Sql>,
        separator: &'static str,
        group: Option<Group>,
    },
    /// Something that a part of the same class can replace.
    Of(Class, Box<Sql>),
}

impl Sql {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub fn optional(inner: Self) -> Self {
        Self::Optional(Box::new(inner))
    }

    pub fn of(class: Class, parts: Vec<Self>) -> Self {
        Self::Of(class, Box::new(Self::Sequence(parts)))
    }

    /// Items that can go one by one.
    pub fn list(items: Vec<Self>, separator: &'static str) -> Self {
        Self::List { items, separator, group: None }
    }

    pub fn render(&self, dialect: Dialect) -> String {
        let mut out = String::new();
        self.write(dialect, &mut out);
        out
    }

    fn write(&self, dialect: Dialect, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Date(date) => out.push_str(&dialect.date(date)),
            Self::Year(date) => out.push_str(&dialect.year(&date.render(dialect))),
            Self::Sequence(parts) => parts.iter().for_each(|part| part.write(dialect, out)),
            Self::Optional(inner) | Self::TotalOrder(inner) | Self::Of(_, inner) => inner.write(dialect, out),
            Self::List { items, separator, .. } => {
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push_str(separator);
                    }
                    item.write(dialect, out);
                }
            }
        }
    }

    /// Returns whether the rows of the whole statement come in one order.
    pub fn is_ordered(&self) -> bool {
        match self {
            Self::TotalOrder(_) => true,
            Self::Of(Class::Query, inner) => inner.is_ordered(),
            Self::Sequence(parts) => parts.last().is_some_and(Self::is_ordered),
            _ => false,
        }
    }

    /// Returns every tree that is smaller by one step, the smallest ones first as far as that is known.
    pub fn smaller(&self) -> Vec<Self> {
        let mut found = self.steps();
        let mut groups = Vec::new();
        self.groups(&mut groups);
        for (group, n) in groups {
            found.extend((0..n).filter(|_| n > 1).map(|at| self.without(group, at)));
        }
        found
    }

    fn steps(&self) -> Vec<Self> {
        match self {
            Self::Text(_) | Self::Date(_) => Vec::new(),
            Self::Year(date) => date.steps().into_iter().map(|d| Self::Year(Box::new(d))).collect(),
            Self::Sequence(parts) => within(parts).map(Self::Sequence).collect(),
            Self::Optional(inner) => {
                let smaller = inner.steps().into_iter().map(Self::optional);
                std::iter::once(Self::text("")).chain(smaller).collect()
            }
            Self::TotalOrder(inner) => {
                let smaller = inner.steps().into_iter().map(|i| Self::TotalOrder(Box::new(i)));
                std::iter::once(Self::text("")).chain(smaller).collect()
            }
            Self::List { items, separator, group } => {
                let list = |items| Self::List { items, separator, group: *group };
                let shorter = (0..items.len()).filter(|_| items.len() > 1 && group.is_none()).map(|at| {
                    let mut items = items.clone();
                    items.remove(at);
                    items
                });
                shorter.chain(within(items)).map(list).collect()
            }
            Self::Of(class, inner) => {
                let mut found = Vec::new();
                inner.parts_of(*class, &mut found);
                if !matches!(&**inner, Self::Sequence(parts) if matches!(parts.as_slice(), [Self::Text(_) | Self::Date(_)]))
                {
                    found.extend(class.constants().into_iter().map(|c| Self::of(*class, vec![c])));
                }
                found.extend(inner.steps().into_iter().map(|i| Self::Of(*class, Box::new(i))));
                found
            }
        }
    }

    /// Collects the nearest parts of a class.
    fn parts_of(&self, class: Class, found: &mut Vec<Self>) {
        match self {
            Self::Of(own, _) if *own == class => found.push(self.clone()),
            _ => self.children().iter().for_each(|child| child.parts_of(class, found)),
        }
    }

    fn children(&self) -> &[Self] {
        match self {
            Self::Text(_) | Self::Date(_) => &[],
            Self::Sequence(parts) => parts,
            Self::List { items, .. } => items,
            Self::Year(inner) | Self::Optional(inner) | Self::TotalOrder(inner) | Self::Of(_, inner) => {
                std::slice::from_ref(&**inner)
            }
        }
    }

    /// Collects the groups, with the length of their lists.
    fn groups(&self, found: &mut Vec<(Group, usize)>) {
        if let Self::List { items, group: Some(group), .. } = self
            && !found.contains(&(*group, items.len()))
        {
            found.push((*group, items.len()));
        }
        self.children().iter().for_each(|child| child.groups(found));
    }

    fn without(&self, group: Group, at: usize) -> Self {
        let again = |inner: &Self| Box::new(inner.without(group, at));
        match self {
            Self::Text(_) | Self::Date(_) => self.clone(),
            Self::Year(inner) => Self::Year(again(inner)),
            Self::Optional(inner) => Self::Optional(again(inner)),
            Self::TotalOrder(inner) => Self::TotalOrder(again(inner)),
            Self::Of(class, inner) => Self::Of(*class, again(inner)),
            Self::Sequence(parts) => Self::Sequence(parts.iter().map(|part| part.without(group, at)).collect()),
            Self::List { items, separator, group: own } => {
                let mut items: Vec<_> = items.iter().map(|item| item.without(group, at)).collect();
                if *own == Some(group) && items.len() > 1 && at < items.len() {
                    items.remove(at);
                }
                Self::List { items, separator, group: *own }
            }
        }
    }
}

/// Returns the lists in which one of the parts is smaller.
fn within(parts: &[Sql]) -> impl Iterator<Item = Vec<Sql>> {
    parts.iter().enumerate().flat_map(move |(at, part)| {
        part.steps().into_iter().map(move |smaller| {
            let mut parts = parts.to_vec();
            parts[at] = smaller;
            parts
        })
    })
}

#[test]
fn clauses_items_and_columns_can_go() {
    let column = |name: &str| Sql::of(Class::Integer, vec![Sql::text(name)]);
    let sum = Sql::of(Class::Integer, vec![column("a"), Sql::text(" + "), column("b")]);
    let outputs = |items| Sql::List { items, separator: ", ", group: Some(1) };
    let order = Sql::Sequence(vec![Sql::text(" ORDER BY "), outputs(vec![column("1"), column("2")])]);
    let query =
        Sql::Sequence(vec![Sql::text("SELECT "), outputs(vec![sum, column("c")]), Sql::TotalOrder(Box::new(order))]);
    assert!(query.is_ordered());
    let smaller: Vec<_> = query.smaller().iter().map(|sql| sql.render(Dialect::Sqlite)).collect();
    for expected in [
        "SELECT a + b, c",
        "SELECT a, c ORDER BY 1, 2",
        "SELECT b, c ORDER BY 1, 2",
        "SELECT 1, c ORDER BY 1, 2",
        "SELECT a + b ORDER BY 1",
        "SELECT c ORDER BY 2",
    ] {
        assert!(smaller.iter().any(|sql| sql == expected), "{expected} in {smaller:#?}");
    }
}
