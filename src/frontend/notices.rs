//! What a statement has to say beside its rows, which is no error. A session keeps it until it is asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::prelude::SessionConfig;

/// How many notices a session keeps that nobody asks for.
const MOST: usize = 100;

/// The notices of a session, the oldest first.
#[derive(Debug, Default)]
pub struct Notices(Mutex<VecDeque<String>>);

impl Notices {
    /// Those of a session.
    pub fn of(config: &SessionConfig) -> Option<Arc<Self>> {
        config.get_extension()
    }

    /// Adds one, unless it is there already.
    pub fn add(&self, text: String) {
        let mut notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !notices.contains(&text) {
            notices.push_back(text);
        }
        if notices.len() > MOST {
            notices.pop_front();
        }
    }

    /// Takes them out.
    pub fn take(&self) -> Vec<String> {
        let mut notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notices.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::frontend::notices::{MOST, Notices};

    #[test]
    fn notices_are_kept_once_and_not_for_ever() {
        let notices = Notices::default();
        for i in 0..=MOST {
            notices.add(format!("{i}"));
            notices.add(format!("{i}"));
        }
        let taken = notices.take();
        assert_eq!((taken.len(), taken[0].as_str()), (MOST, "1"));
        assert!(notices.take().is_empty());
    }
}
