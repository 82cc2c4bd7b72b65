//! The provisioner: nodes without configuration are found, given one by the site's helper, and restarted into service.

#![forbid(unsafe_code)]
