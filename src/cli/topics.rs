//! `milena topics`: list, describe, create, delete.

use serde_json::json;

use super::args::{TopicsAction, TopicsOptions};
use super::{Failure, Outcome, connect};
use crate::admin::NewTopic;
use crate::client::Client;

pub(super) async fn run(options: TopicsOptions) -> Outcome {
    let named = options.topic.clone().ok_or_else(|| Failure::Usage("topics: which topic? give its name".into()));
    let config = connect::config(&options.connect)?;
    if options.action != TopicsAction::List && named.is_err() {
        return named.map(|_| ());
    }
    let client = connect::client(&config).await?;
    match options.action {
        TopicsAction::List => list(&client, options.json).await,
        TopicsAction::Describe => describe(&client, &named?, options.json).await,
        TopicsAction::Create => create(&client, named?, &options).await,
        TopicsAction::Delete => Ok(client.admin().delete_topic(&named?).await?),
    }
}

async fn list(client: &Client, as_json: bool) -> Outcome {
    for name in client.admin().list_topics().await? {
        if as_json { println!("{}", json!({ "topic": name })) } else { println!("{name}") }
    }
    Ok(())
}

async fn describe(client: &Client, name: &str, as_json: bool) -> Outcome {
    let topic = client.admin().describe_topic(name).await?;
    for (partition, row) in topic.partitions.iter().enumerate() {
        let leader = row.leader.map_or(-1, |id| id.0);
        let ids = |list: &[crate::types::BrokerId]| list.iter().map(|id| id.0).collect::<Vec<_>>();
        let (replicas, isr) = (ids(&row.replicas), ids(&row.isr));
        if as_json {
            let line = json!({
                "topic": name, "topic_id": topic.topic_id.to_string(), "partition": partition, "leader": leader,
                "leader_epoch": row.leader_epoch, "replicas": replicas, "isr": isr,
            });
            println!("{line}");
        } else {
            println!("{name} {partition} leader {leader} epoch {} replicas {replicas:?} isr {isr:?}", row.leader_epoch);
        }
    }
    Ok(())
}

async fn create(client: &Client, name: String, options: &TopicsOptions) -> Outcome {
    let topic = NewTopic {
        name,
        partitions: options.partitions,
        replication_factor: options.replication_factor,
        configs: options.configs.iter().cloned().collect(),
    };
    Ok(client.admin().create_topic(&topic).await?)
}
