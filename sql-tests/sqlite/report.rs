//! Counts outcomes by folder and by reason, and writes them down.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::sqlite::run::{Outcome, Outcomes, PLACEMENTS};

/// How many wrong queries are written in full.
const MOST_SHOWN: usize = 100;

/// Right, wrong, refused on the device, refused by the front end.
type Counts = [usize; 4];

#[derive(Default)]
pub struct Report {
    folders: BTreeMap<String, [Counts; 2]>,
    /// Refusals by placement and reason, with the first query of each.
    reasons: BTreeMap<(usize, bool, String), (usize, String)>,
    wrong: Vec<String>,
}

impl Report {
    pub fn add(&mut self, file: &str, Outcomes { line, sql, outcomes }: &Outcomes) {
        let at = format!("{file}:{line}");
        let folder = file.split(['/', '.']).next().unwrap_or_default();
        for (placement, outcome) in outcomes.iter().enumerate() {
            let column = match outcome {
                Outcome::Right => 0,
                Outcome::Wrong(how) => {
                    self.wrong.push(format!("{at}, {}: {sql}\n  {how}\n", PLACEMENTS[placement]));
                    1
                }
                Outcome::RefusedOnDevice(why) | Outcome::RefusedByFrontEnd(why) => {
                    let on_device = matches!(outcome, Outcome::RefusedOnDevice(_));
                    let reason = self.reasons.entry((placement, on_device, why.clone()));
                    reason.or_insert((0, at.clone())).0 += 1;
                    if on_device { 2 } else { 3 }
                }
            };
            self.folders.entry(folder.to_string()).or_default()[placement][column] += 1;
        }
    }

    pub fn totals(&self) -> [Counts; 2] {
        let mut totals = [[0; 4]; 2];
        for counts in self.folders.values() {
            for (total, count) in totals.as_flattened_mut().iter_mut().zip(counts.as_flattened()) {
                *total += count;
            }
        }
        totals
    }

    pub fn wrong(&self) -> usize {
        self.wrong.len()
    }

    pub fn text(&self) -> String {
        let mut out = String::new();
        for wrong in self.wrong.iter().take(MOST_SHOWN) {
            let _ = writeln!(out, "wrong: {wrong}");
        }
        out += "| files | placement | right | wrong | refused on the device | refused by the front end |\n\
                |---|---|--:|--:|--:|--:|\n";
        let all = ("all".to_string(), self.totals());
        for (folder, counts) in self.folders.iter().map(|(f, c)| (f.clone(), *c)).chain([all]) {
            for (placement, [right, wrong, device, front_end]) in PLACEMENTS.iter().zip(counts) {
                let _ = writeln!(out, "| {folder} | {placement} | {right} | {wrong} | {device} | {front_end} |");
            }
        }
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, (n, _))| std::cmp::Reverse(*n));
        for ((placement, on_device, why), (n, at)) in reasons {
            let who = if *on_device { "the device" } else { "the front end" };
            let _ = writeln!(out, "{n} refused by {who} under {}: {why} (first at {at})", PLACEMENTS[*placement]);
        }
        out
    }
}
