//! What something costs: an exact decimal number and its currency. Never a float.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// The most digits behind the point.
const DECIMALS: usize = 6;
/// The most digits before it.
const WHOLE_DIGITS_MAX: usize = 6;

/// An amount in millionths of a currency's unit; written as a decimal number, `0.045`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount(u64);

impl FromStr for Amount {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "write a decimal number with a point and at most 6 digits behind it, such as 0.045";
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str, max: usize| (1..=max).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole, WHOLE_DIGITS_MAX) || !is_number(fraction, DECIMALS) {
            return Err(RULE);
        }
        format!("{whole}{fraction:0<DECIMALS$}").parse().map(Self).map_err(|_| RULE)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let fraction = format!("{fraction:06}");
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            fraction => write!(f, "{whole}.{fraction}"),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^[0-9]{1,6}(\.[0-9]{1,6})?$" })
    }
}

/// What one part of a text message costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PartPrice {
    /// How much: a decimal number as text, so that nobody rounds it.
    pub price_per_part: Amount,
    /// Of which currency, ISO 4217: `EUR`.
    pub currency: String,
}

/// Whether a text has the form of a currency's code, ISO 4217.
pub fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (text, millionths, shown) in
            [("0.045", 45_000, "0.045"), ("0", 0, "0"), ("1.50", 1_500_000, "1.5"), ("12", 12_000_000, "12"), ("0.000001", 1, "0.000001")]
        {
            let amount: Amount = text.parse().expect(text);
            assert_eq!((amount, amount.to_string().as_str()), (Amount(millionths), shown), "{text}");
        }
        for text in ["", ".5", "5.", "-1", "+1", "0,045", "1e3", "0.0000001", "1234567", "0.1.2", " 1", "½", "٣"] {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
    }

    #[test]
    fn currencies_have_three_capital_letters() {
        for (code, is_one) in [("EUR", true), ("CHF", true), ("eur", false), ("EURO", false), ("€", false), ("", false)] {
            assert_eq!(is_currency(code), is_one, "{code}");
        }
    }
}
