//! Durations as people write them: `30s`, `20 min`, `1d 12h`. Whole numbers with a unit, so that nobody has to guess one.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing is written.
    #[error("a duration is empty: write a number with a unit, such as 30s, 20m, 2h or 1d")]
    Empty,
    /// A part without a number, or a number without a unit.
    #[error("`{0}` is not a duration: write whole numbers with a unit, such as 30s, 20m, 2h or 1d 12h")]
    Malformed(String),
    /// A unit nobody knows.
    #[error("`{0}` is not a unit of time: use ms, s, m, h or d")]
    Unit(String),
    /// More than fits.
    #[error("`{0}` is longer than any duration can be")]
    TooLong(String),
}

/// Reads `250ms`, `30s`, `20m` (or `min`), `2h`, `1d`, or several of them after one another, with or without spaces.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let cut = || text.chars().take(64).collect::<String>();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(DurationError::Empty);
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if number.is_empty() || unit.is_empty() {
            return Err(DurationError::Malformed(cut()));
        }
        let number: u64 = number.parse().map_err(|_| DurationError::TooLong(cut()))?;
        let milliseconds = number.checked_mul(unit_ms(unit)?).ok_or_else(|| DurationError::TooLong(cut()))?;
        total = total.checked_add(Duration::from_millis(milliseconds)).ok_or_else(|| DurationError::TooLong(cut()))?;
        rest = after.trim_start();
    }
    Ok(total)
}

fn unit_ms(unit: &str) -> Result<u64, DurationError> {
    Ok(match unit {
        "ms" => 1,
        "s" | "sec" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(DurationError::Unit(unit.chars().take(32).collect())),
    })
}

/// Writes a duration the way [`parse`] reads it, to the millisecond: `1d 12h`.
pub fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut parts = Vec::new();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if rest >= size {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [
            ("30s", 30),
            ("20m", 1_200),
            ("20 min", 1_200),
            ("2h", 7_200),
            ("1d", 86_400),
            ("1d 12h", 129_600),
            ("1h30m", 5_400),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn says_why_not() {
        assert_eq!(parse("  "), Err(DurationError::Empty));
        assert_eq!(parse("20"), Err(DurationError::Malformed("20".into())));
        assert_eq!(parse("-2h"), Err(DurationError::Malformed("-2h".into())));
        assert_eq!(parse("1.5h"), Err(DurationError::Malformed("1.5h".into())));
        assert_eq!(parse("2 weeks"), Err(DurationError::Unit("weeks".into())));
        assert!(matches!(parse("99999999999999999999d"), Err(DurationError::TooLong(_))));
        assert!(matches!(parse("999999999999999d"), Err(DurationError::TooLong(_))));
    }

    proptest! {
        #[test]
        fn writes_what_it_reads(milliseconds in 0u64..10_000_000_000) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
