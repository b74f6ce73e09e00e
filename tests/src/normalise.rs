//! Which parts of a program's output may differ from run to run: points in
//! time, process ids, and the width of the columns they stand in. Everything
//! else has to be the same.

/// Replaces points in time by `TIME` and runs of blanks by one blank (a table's
/// columns are as wide as the times in them).
pub fn times(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        // A digit inside a longer number or word starts no time.
        let inside = out.chars().next_back().is_some_and(|p| p.is_ascii_alphanumeric());
        if c.is_ascii_digit() && !inside {
            let length = time_length(rest.as_bytes());
            if length > 0 {
                out.push_str("TIME");
                rest = &rest[length..];
                continue;
            }
        }
        if !(c == ' ' && out.ends_with(' ')) {
            out.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// How long the RFC 3339 time is that `text` starts with; 0 when it is none.
fn time_length(text: &[u8]) -> usize {
    let shape = b"0000-00-00T00:00:00";
    let fits = text.len() >= shape.len()
        && shape
            .iter()
            .zip(text)
            .all(|(s, t)| if *s == b'0' { t.is_ascii_digit() } else { s == t });
    if !fits {
        return 0;
    }
    let digits = |from: usize| text[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut length = shape.len();
    if text.get(length) == Some(&b'.') {
        length += 1 + digits(length + 1);
    }
    match text.get(length) {
        Some(b'Z') => length + 1,
        Some(b'+' | b'-') => length + b"+00:00".len(),
        _ => length,
    }
}

/// Replaces a number by `name` where it stands as a whole number.
pub fn number(text: &str, number: &str, name: &str) -> String {
    if number.is_empty() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(number) {
        let before = rest[..at].chars().next_back().or_else(|| out.chars().next_back());
        let after = rest[at + number.len()..].chars().next();
        let whole = |c: Option<char>| !c.is_some_and(|c| c.is_ascii_alphanumeric());
        out.push_str(&rest[..at]);
        out.push_str(if whole(before) && whole(after) { name } else { number });
        rest = &rest[at + number.len()..];
    }
    out + rest
}

/// Replaces long hexadecimal numbers by `ADDRESS`: a Go program that panics
/// shows where its stacks and its text lie.
pub fn addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("0x") {
        let digits = rest[at + 2..].bytes().take_while(u8::is_ascii_hexdigit).count();
        out.push_str(&rest[..at]);
        out.push_str(if digits >= 8 { "ADDRESS" } else { &rest[at..at + 2 + digits] });
        rest = &rest[at + 2 + digits..];
    }
    out + rest
}

/// Replaces every number by `N`: for tables of processes, where only their
/// shape and the names in them can be compared.
pub fn numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' if out.ends_with('N') => {}
            '0'..='9' => out.push('N'),
            ' ' if out.ends_with(' ') => {}
            c => out.push(c),
        }
    }
    out
}

/// A table of processes: numbers hidden, and lines sorted, as the order is that
/// of the process ids, which begin again at 1 now and then.
pub fn processes(text: &str) -> String {
    let text = numbers(text);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n") + "\n"
}

/// The names and types in a JSON document, one path a line, without the values:
/// counters differ from run to run, what is counted does not.
pub fn shape(json: &str) -> String {
    fn walk(value: &serde_json::Value, path: &str, lines: &mut Vec<String>) {
        use serde_json::Value;
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    walk(value, &format!("{path}.{name}"), lines);
                }
            }
            Value::Array(items) => {
                for item in items {
                    walk(item, &format!("{path}[]"), lines);
                }
            }
            Value::Null => lines.push(format!("{path}: null")),
            Value::Bool(_) => lines.push(format!("{path}: bool")),
            Value::Number(_) => lines.push(format!("{path}: number")),
            Value::String(_) => lines.push(format!("{path}: string")),
        }
    }
    let Ok(value) = serde_json::from_str(json) else { return format!("not JSON: {json}") };
    let mut lines = Vec::new();
    walk(&value, "", &mut lines);
    lines.sort();
    lines.dedup();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_columns() {
        assert_eq!(
            times("time=\"2024-01-02T03:04:05Z\"   x 2024-01-02T03:04:05.678901+01:00, 2024-01"),
            "time=\"TIME\" x TIME, 2024-01"
        );
    }

    #[test]
    fn only_whole_numbers_are_replaced() {
        assert_eq!(number("12 123 a12 (12)12", "12", "PID"), "PID 123 a12 (PID)PID");
        assert_eq!(numbers("root  123 4:05 sleep"), "root N N:N sleep");
    }

    #[test]
    fn only_long_hexadecimal_numbers_are_addresses() {
        assert_eq!(addresses("f(0xc0000b2420, 0x2b) +0xad1"), "f(ADDRESS, 0x2b) +0xad1");
    }

    #[test]
    fn the_shape_of_json_has_no_values() {
        assert_eq!(shape(r#"{"b":[1,2],"a":{"c":"x"}}"#), ".a.c: string\n.b[]: number\n");
    }
}
