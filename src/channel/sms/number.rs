//! Telephone numbers as providers and gateways write them, made E.164 by libphonenumber's rules.

use phonenumber::{Mode, country};

use crate::model::address::Address;

/// A number as E.164, a short code or a name as it is. A number without country code is one of `country`; one that
/// libphonenumber does not know keeps its digits: the network it came by knows better.
pub fn normalise(text: &str, country: country::Id) -> Address {
    let read = Address::read(text);
    if matches!(read, Address::ShortCode(_)) || text.chars().any(char::is_alphabetic) {
        return read;
    }
    match phonenumber::parse(Some(country), text.trim()) {
        Ok(number) if phonenumber::is_valid(&number) => Address::read(&number.format().mode(Mode::E164).to_string()),
        _ => read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_country_are_completed_and_others_are_kept() {
        for (text, expected) in [
            ("333 123 4567", "+393331234567"),
            ("+39 333 123 4567", "+393331234567"),
            ("0039 333 123 4567", "+393331234567"),
            ("393331234567", "+393331234567"),
            // the zero of an Italian city belongs to the number
            ("0461 123456", "+390461123456"),
            ("+39 0461 123456", "+390461123456"),
            ("+43 664 1234567", "+436641234567"),
            ("0043 664 1234567", "+436641234567"),
            ("4040", "4040"),
            ("Comune", "Comune"),
            ("AB 333 1234567", "AB 333 1234567"),
            ("+999123456789", "+999123456789"),
        ] {
            assert_eq!(normalise(text, country::IT).as_str(), expected, "{text}");
        }
        assert_eq!(normalise("0664 1234567", country::AT).as_str(), "+436641234567");
    }

    #[test]
    fn whatever_the_text_is_it_reads() {
        for text in ["", "+", "++39", "00", "\u{202e}+39", &"9".repeat(64), "+39;ext=5", "tel:+39333"] {
            let address = normalise(text, country::IT);
            assert_eq!(Address::read(address.as_str()), address, "{text}");
        }
    }
}
