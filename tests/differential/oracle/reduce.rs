//! Makes a case smaller as long as the same two engines disagree in the same way.

use std::time::{Duration, Instant};

use crate::oracle::answer::Answer;
use crate::oracle::engines::{Engine, Engines};
use crate::oracle::{Case, Disagreement, disagreement};

/// How long one case may take.
const LIMIT: Duration = Duration::from_secs(60);

pub fn reduce(engines: &mut Engines, case: Case, found: &Disagreement) -> Case {
    // A case that panics does so hundreds of times on the way.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let small = reduced(engines, case, found);
    std::panic::set_hook(hook);
    small
}

fn reduced(engines: &mut Engines, mut case: Case, found: &Disagreement) -> Case {
    let started = Instant::now();
    loop {
        let before = case.sql.clone();
        // Rows first: with fewer rows every further attempt is faster, and most rows do not matter.
        while let Some(smaller) = first(engines, &case, smaller_tables(&case), found, started) {
            case = smaller;
        }
        engines.register(&case.tables);
        while let Some(smaller) = first(engines, &case, smaller_statements(&case), found, started) {
            case = smaller;
        }
        if case.sql == before || started.elapsed() > LIMIT {
            return case;
        }
    }
}

fn smaller_tables(case: &Case) -> Vec<Case> {
    case.tables.smaller().into_iter().map(|tables| Case { sql: case.sql.clone(), tables }).collect()
}

fn smaller_statements(case: &Case) -> Vec<Case> {
    case.sql.smaller().into_iter().map(|sql| Case { sql, tables: case.tables.clone() }).collect()
}

/// Returns the first of the candidates that still shows the disagreement.
fn first(
    engines: &mut Engines,
    case: &Case,
    candidates: Vec<Case>,
    found: &Disagreement,
    started: Instant,
) -> Option<Case> {
    for candidate in candidates {
        if started.elapsed() > LIMIT {
            return None;
        }
        if candidate.tables.0 != case.tables.0 {
            engines.register(&candidate.tables);
        }
        let [first, second] = found.engines;
        let expected = engines.ask(first, &candidate.sql);
        // SQLite takes statements that are wrong; what DuckDB refuses, too, shows no fault.
        let asks_duckdb = found.error.is_some() && engines.has_duckdb() && matches!(expected, Answer::Rows(_));
        if asks_duckdb && matches!(engines.ask(Engine::Duckdb, &candidate.sql), Answer::Error(_)) {
            continue;
        }
        let answer = engines.ask(second, &candidate.sql);
        if disagreement([(first, &expected), (second, &answer)], candidate.sql.is_ordered()).as_ref() == Some(found) {
            return Some(candidate);
        }
    }
    None
}
