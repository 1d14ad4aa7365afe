//! What a text message can come from: a telephone number, a short code, a name. Pure.

use std::fmt;

/// The fewest digits of a telephone number with its country code; what is shorter is a short code.
const NUMBER_DIGITS_MIN: usize = 7;
/// The most digits of a telephone number with its country code (ITU-T E.164).
const NUMBER_DIGITS_MAX: usize = 15;

/// An address of text messages, in the form in which two writings of one are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// A telephone number as E.164 has it: `+` and 7 to 15 digits.
    Number(String),
    /// A number that only one country's networks know: `4040`.
    ShortCode(String),
    /// A name in a number's place. Nobody can answer it.
    Name(String),
}

impl Address {
    /// Reads an address with its country code: `+39 333 123-4567`, `0039333…`, `39333…`. A number as it is dialled inside a
    /// country is for the adapter to complete, which knows the country.
    pub fn read(text: &str) -> Self {
        let text = text.trim();
        let dialled: String = text.chars().filter(|letter| !letter.is_whitespace() && !"-./()".contains(*letter)).collect();
        let (digits, is_international) = match (dialled.strip_prefix('+'), dialled.strip_prefix("00")) {
            (Some(digits), _) | (None, Some(digits)) => (digits, true),
            (None, None) => (dialled.as_str(), false),
        };
        let is_number = !digits.is_empty() && digits.len() <= NUMBER_DIGITS_MAX && digits.bytes().all(|digit| digit.is_ascii_digit());
        match is_number {
            true if digits.len() >= NUMBER_DIGITS_MIN => Self::Number(format!("+{digits}")),
            true if !is_international => Self::ShortCode(digits.to_owned()),
            _ => Self::Name(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Number(text) | Self::ShortCode(text) | Self::Name(text) => text,
        }
    }

    /// Whether a message sent there arrives at somebody.
    pub fn can_be_answered(&self) -> bool {
        !matches!(self, Self::Name(_))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_writings_of_one_address_are_equal() {
        let number = |text: &str| Address::Number(text.to_owned());
        let short = |text: &str| Address::ShortCode(text.to_owned());
        let name = |text: &str| Address::Name(text.to_owned());
        for (text, expected) in [
            ("+393331234567", number("+393331234567")),
            (" +39 333 123-45.67 ", number("+393331234567")),
            ("0039 (333) 1234567", number("+393331234567")),
            ("393331234567", number("+393331234567")),
            ("+39\u{a0}333\u{a0}1234567", number("+393331234567")),
            ("4040", short("4040")),
            ("40 404", short("40404")),
            ("Comune", name("Comune")),
            ("Info  Comune", name("Info Comune")),
            ("+3933312345678901", name("+3933312345678901")),
            ("+39", name("+39")),
            ("+", name("+")),
            ("", name("")),
            ("333x1234567", name("333x1234567")),
            ("+３９３３３１２３４５６７", name("+３９３３３１２３４５６７")),
        ] {
            assert_eq!(Address::read(text), expected, "{text}");
            assert_eq!(Address::read(expected.as_str()), expected, "{text}: what is read reads the same");
            assert_eq!(expected.can_be_answered(), !matches!(expected, Address::Name(_)));
        }
    }
}
