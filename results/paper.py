"""The paper's statements about its experiments, each as claims that records can decide.

Sections, figures and tables are those of Nichol, Achiam and Schulman 2018 (arXiv:1803.02999v3);
"post" is openai.com/index/reptile.
"""

from results.claims import (
    BATCH,
    OUTER,
    POINTS,
    REPTILE,
    SEPARATE,
    SHARED,
    STEPS,
    Finding,
    beats,
    drops,
    falls,
    falls_more_gradually,
    full_batches_are_poor,
    gains_more,
    keeps,
    makes_no_progress,
    transduction_helps,
)

SUMS = {1: "g1", 2: "g1+g2", 3: "g1+g2+g3", 4: "g1+g2+g3+g4"}
LAST = {k: f"g{k}" for k in (2, 3, 4)}
MEANS = {k: f"mean({SUMS[k]})" for k in (2, 3, 4)}

ACCURACY = {"metric": "accuracy", "split": "test"}
FIVE_SHOT = {
    **ACCURACY,
    "task.ways": 5,
    "shots": 5,
    "transductive": False,
    "algorithm.inner_optimizer": "sgd",
}

STATEMENTS = [
    Finding(
        "g1 makes no progress",
        "Joint training (g1) yields no progress: it adapts no better than an untrained network "
        f"(within {POINTS}).",
        "post; section 6.2, figure 3",
        FIVE_SHOT,
        makes_no_progress("g1"),
    ),
    Finding(
        "later gradients beat g1",
        "Every combination that includes g2 or a later gradient beats g1.",
        "section 6.2, figure 3",
        FIVE_SHOT,
        beats(*((name, "g1") for k in (2, 3, 4) for name in (LAST[k], SUMS[k], MEANS[k]))),
    ),
    Finding(
        "g2 beats g1+g2",
        "Two-step Reptile (g1+g2) is worse than two-step FOMAML (g2).",
        "section 6.2, figure 3",
        FIVE_SHOT,
        beats(("g2", "g1+g2")),
    ),
    Finding(
        "more mini-batches are better",
        "All the methods improve as the number of mini-batches increases: sums, averages and the "
        "last gradient alone.",
        "section 6.2, figure 3",
        FIVE_SHOT,
        beats(
            *((SUMS[k + 1], SUMS[k]) for k in (1, 2, 3)),
            *((MEANS[k + 1], MEANS[k]) for k in (2, 3)),
            *((LAST[k + 1], LAST[k]) for k in (2, 3)),
        ),
    ),
    Finding(
        "sums gain more than the last gradient",
        "From two mini-batches to four the sum of the gradients improves more than the last one "
        "alone.",
        "section 6.2, figure 3",
        FIVE_SHOT,
        gains_more((SUMS[2], SUMS[4], LAST[2], LAST[4])),
    ),
    Finding(
        "sums beat the last gradient",
        "With three and four steps the sum of the gradients beats the last one alone.",
        "section 6.2, figure 3",
        FIVE_SHOT,
        beats(*((SUMS[k], LAST[k]) for k in (3, 4))),
    ),
    Finding(
        "longer sums learn faster",
        "Including more gradients yields faster learning (mean over the learning curve).",
        "post; section 6.2, figure 3",
        FIVE_SHOT,
        beats(*((SUMS[k + 1], SUMS[k]) for k in (1, 2, 3))),
        curve=True,
    ),
    Finding(
        "shared tail falls from 5 iterations",
        "Shared-tail FOMAML with cycling batches is fine up to 4 inner iterations (within "
        f"{POINTS}) and drops from 5, when it has seen all samples.",
        "section 6.3, figure 4a",
        {**FIVE_SHOT, BATCH: 25},
        drops(SHARED, STEPS, 4),
        same=(OUTER,),
    ),
    Finding(
        "replacement falls with iterations",
        "Shared-tail FOMAML with replacement degrades as inner iterations grow.",
        "section 6.3, figure 4a",
        {**FIVE_SHOT, BATCH: 25},
        falls(SHARED, STEPS, 4, replacement=True),
        same=(OUTER,),
    ),
    Finding(
        "replacement falls more gradually with iterations",
        "From 4 inner iterations to more, shared-tail FOMAML loses less with replacement than with "
        "cycling: it degrades more gradually.",
        "section 6.3, figure 4a",
        {**FIVE_SHOT, BATCH: 25},
        falls_more_gradually(SHARED, STEPS, 4),
        same=(OUTER,),
    ),
    Finding(
        "separate tail keeps with iterations",
        f"Separate-tail FOMAML keeps its performance (within {POINTS}) as inner iterations grow.",
        "section 6.3, figure 4a",
        {**FIVE_SHOT, BATCH: 25},
        keeps(SEPARATE, STEPS, 4),
        same=(OUTER,),
    ),
    Finding(
        "Reptile keeps with iterations",
        f"Reptile keeps its performance (within {POINTS}) as inner iterations grow.",
        "section 6.3, figure 4a",
        {**FIVE_SHOT, BATCH: 25},
        keeps(REPTILE, STEPS, 4),
        same=(OUTER,),
    ),
    Finding(
        "shared tail falls above batch 25",
        "Shared-tail FOMAML with cycling is fine with 4 inner batches of up to 25 examples (within "
        f"{POINTS}) and falls where the last one holds no new example: from 34.",
        "section 6.3, figure 4b",
        {**FIVE_SHOT, STEPS: 4},
        drops(SHARED, BATCH, 25),
        same=(OUTER,),
    ),
    Finding(
        "replacement falls more gradually above batch 25",
        "From batches of 25 to those from 34, whose last holds no new example, shared-tail FOMAML "
        "loses less with replacement than with cycling: it degrades more gradually.",
        "section 6.3, figure 4b",
        {**FIVE_SHOT, STEPS: 4},
        falls_more_gradually(SHARED, BATCH, 25),
        same=(OUTER,),
    ),
    Finding(
        "separate tail keeps above batch 25",
        f"Separate-tail FOMAML keeps its performance (within {POINTS}) as the inner batch grows.",
        "section 6.3, figure 4b",
        {**FIVE_SHOT, STEPS: 4},
        keeps(SEPARATE, BATCH, 25),
        same=(OUTER,),
    ),
    Finding(
        "Reptile keeps above batch 25",
        f"Reptile keeps its performance (within {POINTS}) as the inner batch grows.",
        "section 6.3, figure 4b",
        {**FIVE_SHOT, STEPS: 4},
        keeps(REPTILE, BATCH, 25),
        same=(OUTER,),
    ),
    Finding(
        "full batches are poor at every outer step",
        "With full batches of 100, shared-tail FOMAML is poor for every choice of the outer step: "
        "below its rivals there, or else below batches of 25.",
        "section 6.3, figure 4c",
        {**FIVE_SHOT, STEPS: 4},
        full_batches_are_poor,
    ),
    Finding(
        "transduction helps Reptile",
        "Reptile + transduction beats Reptile on 1-shot Omniglot.",
        "table 2",
        {**ACCURACY, "task.name": "omniglot", "task.split": "paper", "shots": 1, "steps": 50},
        transduction_helps,
    ),
]
