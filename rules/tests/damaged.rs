//! Does a damaged table or rule text ever fault, panic or loop?
//!
//! The table is read inside other programs: "fewer rules, never a fault". Every
//! reader is called on every rule; bounds are counted, so that a loop shows.
#![cfg(feature = "toml")]

mod random;

use procsys_rules::compile::compile;
use procsys_rules::{Table, path, profiles, text};
use random::Random;

/// Reads all of a table; gives how much there was.
fn read_all(bytes: &[u8]) -> usize {
    let Some(table) = Table::new(bytes) else { return 0 };
    assert!(table.bytes().len() <= bytes.len());
    let mut things = 0;
    for rule in table.rules() {
        let texts = [rule.path(), rule.value(), rule.name()];
        things += texts.iter().map(|t| t.len()).sum::<usize>();
        for text in texts {
            assert!(text.len() <= bytes.len());
            path::matches(text, b"/proc/sys/kernel/cap_last_cap");
            path::below(text, b"/proc/sys/kernel/cap_last_cap");
            path::last(text);
        }
        _ = (rule.kind(), rule.call(), rule.mode(), rule.file(), rule.probe(), rule.number());
        _ = (rule.accepts_writes(), rule.may_end_in(7));
        things += (0..=255).filter(|&e| rule.acts_on(e)).count();
        assert!(!rule.acts_on(0), "0 is success");
        for clause in rule.when().chain(rule.changes()) {
            things += 1 + clause.text.len();
        }
    }
    things
}

fn default_table() -> Vec<u8> {
    let profile = profiles::by_name(profiles::DEFAULT).expect("it is built in");
    compile(&profile.rules().expect("a test shows that it parses")).expect("it is small")
}

#[test]
fn random_bytes_are_no_table() {
    let mut random = Random::new(1);
    for _ in 0..20_000 {
        let len = random.below(400);
        let bytes = random.bytes(len);
        assert!(Table::new(&bytes).is_none(), "{bytes:?}");
    }
}

/// As above, behind a header that is accepted.
#[test]
fn random_bytes_behind_a_good_header() {
    let mut random = Random::new(2);
    let good = default_table();
    let mut read = 0;
    for round in 0..20_000 {
        let len = 16 + random.below(600);
        let mut bytes = random.bytes(len);
        bytes[..10].copy_from_slice(&good[..10]);
        let count = random.below(len / 48 + 2) as u16;
        bytes[10..12].copy_from_slice(&count.to_le_bytes());
        bytes[12..16].copy_from_slice(&(len as u32).to_le_bytes());
        read += usize::from(read_all(&bytes) > 0);
        assert!(round < 20_000);
    }
    assert!(read > 10_000, "only {read} tables were read at all: the test shows nothing");
}

#[test]
fn mutated_tables_are_read_without_a_fault() {
    let good = default_table();
    let whole = read_all(&good);
    let (mut less, mut refused) = (0, 0);
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let mut bytes = good.clone();
        for _ in 0..1 + random.below(8) {
            let at = random.below(bytes.len());
            bytes[at] = match random.below(4) {
                0 => 0,
                1 => 0xff,
                2 => bytes[at] ^ (1 << random.below(8)),
                _ => random.next() as u8,
            };
        }
        if random.below(4) == 0 {
            let len = random.below(bytes.len());
            bytes.truncate(len);
        }
        match Table::new(&bytes) {
            None => refused += 1,
            Some(table) => {
                less += usize::from(read_all(&bytes) != whole);
                if seed % 100 == 0 {
                    // At most 512 numbers, whatever the rules say.
                    assert!(table.reached().count() <= 512);
                }
            }
        }
    }
    assert!(less > 1000 && refused > 1000, "{less} read with less, {refused} refused");
}

/// Every prefix of a table is refused, or is the table.
#[test]
fn truncated_tables_are_refused() {
    let good = default_table();
    for len in 0..good.len() {
        assert!(Table::new(&good[..len]).is_none(), "{len} of {} bytes", good.len());
    }
    assert!(Table::new(&good).is_some());
}

#[test]
fn mutated_texts_are_read_or_refused_with_a_line_of_the_file() {
    let source = profiles::by_name(profiles::DEFAULT).expect("it is built in").text;
    let (mut read, mut refused) = (0, 0);
    for seed in 0..3_000 {
        let mut random = Random::new(seed);
        let mut bytes = source.as_bytes().to_vec();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => _ = bytes.remove(at),
                1 => bytes.insert(at, b"[]{}\"=,\n#x"[random.below(10)]),
                2 => bytes[at] = random.next() as u8,
                _ => {
                    let len = random.below(60).min(bytes.len() - at);
                    let piece = bytes[at..at + len].to_vec();
                    let to = random.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        match text::parse("x", &text) {
            Ok((_, rules)) => {
                read += 1;
                if let Ok(table) = compile(&rules) {
                    read_all(&table);
                }
            }
            Err(error) => {
                refused += 1;
                let lines = text.lines().count() + 1;
                assert!((1..=lines).contains(&error.line), "seed {seed}: {error}");
                assert!(!error.to_string().contains('\n'), "seed {seed}: {error}");
                assert!(!error.message.is_empty(), "seed {seed}");
            }
        }
    }
    assert!(read > 300 && refused > 300, "{read} read, {refused} refused");
}
