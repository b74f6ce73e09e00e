//! Who refers to an address? Instructions, and words in data with their own referrers.

use std::collections::BTreeSet;

use super::paths::References;
use crate::elf::Image;
use crate::scan::Functions;
use crate::uses::{self, By, Zones};

/// One reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    /// The instruction; `None` when only data refers to it.
    pub(super) instruction: Option<u64>,
    /// The length that goes with it, where Go keeps one.
    pub(super) length: Option<usize>,
}

/// Finds the references to some addresses.
pub(super) fn find(
    image: &Image<'_>,
    functions: &Functions<'_>,
    wanted: &BTreeSet<u64>,
) -> References {
    let uses =
        uses::find(image, functions, &Zones::new(wanted.iter().map(|&a| a..a + 1).collect()));
    let words = uses.iter().filter(|u| u.by == By::Word).map(|u| u.at);
    let of_words = uses::of_words(image, functions, words);
    let mut references = References::new();
    for found in &uses {
        let own = references.entry(found.target).or_default();
        let length = found.length.as_ref().map(|l| l.value as usize);
        match found.by {
            By::Takes | By::Reads(_) => {
                own.push(Reference { instruction: Some(found.at), length });
            }
            By::Word => {
                let forms = [Some(length), length.map(|_| None)].into_iter().flatten();
                own.extend(forms.map(|length| Reference { instruction: None, length }));
                let users = of_words.get(&found.at).map_or(&[][..], Vec::as_slice);
                let users = users.iter().map(|&at| Reference { instruction: Some(at), length });
                own.extend(users);
            }
            By::Unclear | By::Symbol(_) => {}
        }
    }
    references
}
