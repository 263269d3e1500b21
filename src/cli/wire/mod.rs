//! `milena wire`: messages, batches and segments told by their bytes, for people and for scripts.

mod args;
mod batch;
mod batch_write;
mod decode;
mod diff;
mod input;
mod lines;
mod log;
mod messages;

pub(super) use args::WireOptions;

use super::Outcome;
use args::Action;

pub(super) fn run(options: WireOptions) -> Outcome {
    match options.action {
        Action::Decode(options) if options.lines => lines::answer(messages::decode),
        Action::Decode(options) => decode::run(&options.message),
        Action::Encode(_) => lines::answer(messages::encode),
        Action::Batch(_) => lines::answer(batch::answer),
        Action::Diff(options) => diff::run(&options),
        Action::Log(options) => log::run(&options),
    }
}
