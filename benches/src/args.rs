//! The command line.

use anyhow::{Result, bail};

/// What the user asked for.
pub(crate) struct Args {
    /// JSON in place of the table.
    pub(crate) json: bool,
    /// Rounds of every row.
    pub(crate) rounds: usize,
    /// Only what patching costs, not what a patch does.
    pub(crate) cost: bool,
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Args> {
    let mut args = Args { json: false, rounds: 41, cost: false };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => args.json = true,
            "--cost" => args.cost = true,
            "--rounds" => match words.next().and_then(|n| n.parse().ok()) {
                Some(n) if n >= 3 => args.rounds = n,
                _ => bail!("--rounds takes a number of 3 or more"),
            },
            _ => bail!(
                "unknown argument `{word}`; usage: procsys-bench [--json] [--cost] [--rounds N], \
                 or procsys-bench node [ROUNDS [SECONDS]]"
            ),
        }
    }
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn words(line: &str) -> impl Iterator<Item = String> + '_ {
        line.split_whitespace().map(str::to_owned)
    }

    #[test]
    fn reads_what_it_knows() {
        let args = parse(words("--json --rounds 7")).expect("good arguments");
        assert!(args.json);
        assert_eq!(args.rounds, 7);
    }

    #[test]
    fn refuses_the_rest() {
        for bad in ["--rounds", "--rounds 2", "--rounds x", "--jsn"] {
            assert!(parse(words(bad)).is_err(), "{bad}");
        }
    }
}
