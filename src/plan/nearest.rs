//! Guesses what a mistyped name was meant to be.

/// The candidate that differs least from what was written, if any is near enough to be meant.
pub fn nearest<'c>(written: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let limit = written.chars().count().div_ceil(3);
    let distances = candidates.map(|candidate| (distance(written, candidate), candidate));
    distances.min().filter(|(distance, _)| *distance <= limit).map(|(_, candidate)| candidate)
}

/// Levenshtein's distance: insertions, deletions and replacements of one character.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_only_what_is_near() {
        let known = ["address", "queue", "name"];
        for (written, meant) in [("adress", Some("address")), ("nmae", Some("name")), ("quue", Some("queue")), ("colour", None), ("", None)]
        {
            assert_eq!(nearest(written, known.iter().copied()), meant, "{written}");
        }
    }
}
