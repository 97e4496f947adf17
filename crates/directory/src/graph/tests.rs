//! Who may do what by Graph, and what a deleted thing is.
