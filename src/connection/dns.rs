//! Canonical names of bootstrap addresses (`client.dns.lookup=resolve_canonical_bootstrap_servers_only`, KIP-235).

mod message;
mod system;

use std::io;
use std::net::IpAddr;

use super::transport::BoxFuture;

pub(super) use system::SystemNames;

/// Looks names and addresses up.
pub(super) trait Names: Send + Sync {
    /// The addresses of a name; an address is its own.
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
    /// The name of an address, if it has one. Nobody has vouched for it: whoever owns the address chose it.
    fn name(&self, address: IpAddr) -> BoxFuture<'_, Option<String>>;
}

/// The names to connect to in place of `host`: for each of its addresses the name it is known by, or the address itself
/// where that name does not lead back to it (as Java's `getCanonicalHostName`). Each once, in the resolver's order,
/// never empty.
pub(super) async fn canonical(names: &dyn Names, host: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for address in names.addresses(host).await? {
        let name = confirmed(names, address).await.unwrap_or_else(|| address.to_string());
        if !found.contains(&name) {
            found.push(name);
        }
    }
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("the name {host} has no address")));
    }
    Ok(found)
}

async fn confirmed(names: &dyn Names, address: IpAddr) -> Option<String> {
    let name = names.name(address).await?;
    let name = name.strip_suffix('.').unwrap_or(&name);
    let addresses = names.addresses(name).await.ok()?;
    addresses.contains(&address).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A network of names: forwards, and backwards.
    struct Table(BTreeMap<&'static str, Vec<&'static str>>, BTreeMap<&'static str, &'static str>);

    impl Names for Table {
        fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
            let found = self.0.get(name).ok_or_else(|| io::ErrorKind::NotFound.into());
            Box::pin(async move { found.map(|texts| texts.iter().map(|t| t.parse().unwrap()).collect()) })
        }

        fn name(&self, address: IpAddr) -> BoxFuture<'_, Option<String>> {
            let name = self.1.get(address.to_string().as_str()).map(|name| (*name).to_owned());
            Box::pin(async move { name })
        }
    }

    #[tokio::test]
    async fn an_alias_becomes_the_names_of_its_addresses_where_they_lead_back() {
        let forwards = BTreeMap::from([
            ("brokers", vec!["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::4"]),
            ("kafka-1", vec!["10.0.0.1"]),
            ("liar", vec!["10.9.9.9"]),
            ("kafka-4", vec!["fd00::4", "10.0.0.1"]),
        ]);
        let backwards = BTreeMap::from([("10.0.0.1", "kafka-1."), ("10.0.0.2", "liar"), ("fd00::4", "kafka-4")]);
        let table = Table(forwards, backwards);
        assert_eq!(canonical(&table, "brokers").await.unwrap(), ["kafka-1", "10.0.0.2", "10.0.0.3", "kafka-4"]);
        assert!(canonical(&table, "nobody").await.is_err());
    }
}
