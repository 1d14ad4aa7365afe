//! What only who has a contact is told of it, and what they say of its messages.

use crate::desk::testing::TestDesk;
use crate::model::id::AccountId;
use crate::model::price::PartPrice;

const ANNA: u128 = 1;
const DORA: u128 = 4;
const HERS: &str = "/contacts/ct_0000000000000000000000000000000b";

#[tokio::test]
async fn who_writes_the_answer_is_told_what_a_part_costs() {
    let price = PartPrice { price_per_part: "0.045".parse().expect("an amount"), currency: "EUR".to_owned() };
    let account = AccountId::new("centralino").expect("a name");
    let desk = TestDesk::with(|options| drop(options.part_prices.insert(account, price))).await;
    let expected = serde_json::json!({ "price_per_part": "0.045", "currency": "EUR" });
    let (_, state) = desk.json("GET", "/state", Some(&desk.cookie(ANNA)), None).await;
    assert_eq!(state["contacts"][0]["sms"], expected);
    let (_, contact) = desk.json("GET", HERS, Some(&desk.cookie(ANNA)), None).await;
    assert_eq!((&contact["sms"], &contact["account"]), (&expected, &serde_json::Value::Null));
    let (_, contact) = desk.json("GET", HERS, Some(&desk.cookie(DORA)), None).await;
    assert!(contact.get("sms").is_none(), "a supervisor writes no answer");
    let (_, contact) = TestDesk::new().await.json("GET", HERS, Some(&desk.cookie(ANNA)), None).await;
    assert!(contact.get("sms").is_none());
}
