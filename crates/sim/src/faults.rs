//! Which faults the system means to survive, in prose; and the mutants that prove that the checkers see when it does not.
//!
//! **The store.** Any call may be refused (`Unavailable`), and any commit may conflict though nobody else wrote. The answer to a commit
//! may be lost: then it has happened, or has not, or is still on its way and lands some turns later, unless its tombstone is planted
//! first; and the question what became of it may fail too. Every call is a point where anybody else may run, before and after it.
//!
//! **The server.** It may be killed between any two calls of the store, with requests in every stage; their clients see a broken
//! connection and know nothing. It starts again over the same store, with the endpoints of workloads whose processes still live.
//!
//! **The kernel.** Strangers connect to endpoints, from other cgroups and with stolen endpoint secrets. A peer may be gone, or be
//! another one, when it is attested for the second time. Processes die, and their cgroup is found empty.
//!
//! **Garbage** and what is over are removed while versions are being laid out, by a clock that has gone on by more than a restore may take.
//!
//! **Groups.** Two clients of the resource manager make groups and what is in them, give roles there and delete the groups with all of it, at the
//! same time and under the same names.
//!
//! **People.** Two browsers of one user, and processes of one client, use each other's codes and refresh tokens at the same time; passwords
//! are set while somebody signs in with the one of before.
//!
//! **The audit log.** It may refuse records for a while, as on a full disk: then nothing may be answered that has no record.
//!
//! **Time.** Goes on by seconds, minutes, and sometimes by more than a token's life, between any two steps.
//!
//! Not here: a disk that lies or tears (`store`'s own tests cut its power), an engine shared by several servers, a stolen root key.

/// A lie that is built into the world, so that a checker must notice. Each is caught within a few hundred seeds: `tests/mutants.rs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mutation {
    /// None: the product as it is.
    #[default]
    None,
    /// The store makes several commits out of one.
    TornCommits,
    /// The store lets every check hold.
    SkippedChecks,
    /// The store acknowledges a commit that it has dropped.
    LostCommits,
    /// The store answers reads as of before.
    StaleReads,
    /// The server goes on with principals as it first saw them.
    RememberedPrincipals,
    /// The server goes on with vaults and their policies as it first saw them allow the most.
    RememberedPolicies,
    /// The kernel finds every peer in the app's own cgroup.
    BlindKernel,
    /// The kernel never sees that a peer has changed.
    TrustingKernel,
    /// The audit log drops every third record.
    DroppedRecords,
    /// A handler remembers its answers to a token and gives them again.
    KeptAnswers,
    /// A handler tells in its refusals what it was sent.
    TalkativeRefusals,
    /// The services are told a time that stands still.
    StoppedClock,
    /// The server goes on with secrets that were deleted as it last saw them.
    RememberedSecrets,
    /// The store keeps versions of secrets that it was told to delete.
    KeptVersions,
    /// The store drops what says that roles at something that is gone have to go.
    DroppedMarks,
}

impl Mutation {
    /// All lies.
    pub const ALL: [Self; 15] = [
        Self::TornCommits,
        Self::SkippedChecks,
        Self::LostCommits,
        Self::StaleReads,
        Self::RememberedPrincipals,
        Self::RememberedPolicies,
        Self::BlindKernel,
        Self::TrustingKernel,
        Self::DroppedRecords,
        Self::KeptAnswers,
        Self::TalkativeRefusals,
        Self::StoppedClock,
        Self::RememberedSecrets,
        Self::KeptVersions,
        Self::DroppedMarks,
    ];
}
