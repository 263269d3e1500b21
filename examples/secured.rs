//! Connects as a Java client's file of properties says (TLS and SASL included) and tells what is there.
//!
//! `cargo run --features tls --example secured -- client.properties`

use milena::config::Sources;
use milena::{Client, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let Some(file) = std::env::args().nth(1) else {
        eprintln!("usage: secured FILE");
        std::process::exit(2);
    };
    // Variables such as MILENA_SASL_JAAS_CONFIG overrule the file, so that it need not hold the password.
    let resolved = Sources::default().file(file)?.environment(std::env::vars_os())?.resolve()?;
    resolved.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    let client = Client::with_config(resolved.config.client).await?;
    let cluster = client.admin().describe_cluster().await?;
    println!("cluster {}", cluster.cluster_id.unwrap_or_default());
    cluster.brokers.iter().for_each(|(id, address, _)| println!("broker {} at {address}", id.0));
    client.admin().list_topics().await?.iter().for_each(|topic| println!("topic {topic}"));
    Ok(())
}
