//! The audit console: reads what the kernel records. Entries are written with the actions themselves
//! ([`astrolabe_kernel::audit`]) and proved by `astrolabe audit verify`.

pub mod routes;
