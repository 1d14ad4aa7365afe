//! `[administration.<name>.account.<name>]`: what receives contacts, and answers. It fixes administration and pool.

use super::super::Account;
use super::super::reader::{Node, Table};
use super::administration::domain;
use super::{Names, queue_of};
use crate::model::channel::{Channel, normalise_address};
use crate::model::id::AdministrationId;

pub(super) fn read(id: &AdministrationId, table: &Table<'_>, names: &Names) -> Option<Account> {
    let channel = table
        .need("channel", "email, or another name for what comes through the channel API, such as phone")
        .and_then(|node| node.parsed(Channel::new));
    let address_node = table.get("address");
    let address = match (&address_node, &channel) {
        (Some(node), Some(channel)) => Some(address(node, channel)),
        _ => None,
    };
    let display_name = table.get("display_name").and_then(|node| display_name(&node));
    let queue = table.need("queue", "where contacts go that no rule sends elsewhere").and_then(|node| queue_of(&node, id, names));
    if address_node.is_none() && channel.as_ref().is_some_and(Channel::has_sender) {
        table.problem("`address` is missing: write the office's own address or number, which citizens see and answer to");
    }
    table.finish();
    let address = match address {
        None => None,
        Some(read) => Some(read?),
    };
    Some(Account { administration: id.clone(), channel: channel?, address, display_name, queue: queue? })
}

fn address(node: &Node<'_>, channel: &Channel) -> Option<String> {
    let address = normalise_address(channel, node.text()?);
    let fits = match channel.as_str() {
        Channel::EMAIL => is_email(&address),
        Channel::SMS => is_number(&address),
        _ => true,
    };
    if fits {
        return Some(address);
    }
    node.problem(match channel.as_str() {
        Channel::EMAIL => "this is not an email address: write it bare, such as urp@comune.example",
        _ => "this is not a number in E.164, a short code or a sender's name: write +39…, 3 to 15 digits, or up to 11 letters and digits",
    });
    None
}

fn is_email(address: &str) -> bool {
    let Some((local, host)) = address.rsplit_once('@') else { return false };
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '@' | '<' | '>' | '"' | ',' | ';' | ':' | '(' | ')' | '\\');
    (1..=64).contains(&local.len()) && local.chars().all(plain) && domain(host).is_ok()
}

/// `+` and 7 to 15 digits, a short code of 3 to 15 digits, or an alphanumeric sender of GSM 03.38, at most 11 characters.
fn is_number(address: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    match address.strip_prefix('+') {
        Some(rest) => (7..=15).contains(&rest.len()) && digits(rest),
        None if digits(address) => (3..=15).contains(&address.len()),
        None => (1..=11).contains(&address.len()) && address.bytes().all(|b| b.is_ascii_alphanumeric()),
    }
}

fn display_name(node: &Node<'_>) -> Option<String> {
    let name = node.text()?;
    if name.chars().count() > 255 {
        node.problem("a display name has at most 255 characters");
        return None;
    }
    Some(name.to_owned())
}
