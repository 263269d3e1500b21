//! UnregisterController requests: an administrator strikes a controller off.

use super::rows::structs;
use super::top;

top::request!(UnregisterControllerRequest => super::UnregisterControllerResponse, key 94, versions (0..=0), flexible 0);

structs! {
    /// Versions 0.
    UnregisterControllerRequest {
        /// The controller ID to unregister.
        controller_id / with_controller_id: i32 [since(0)];
    }
}
