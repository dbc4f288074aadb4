// Ten questions of a planner's, and one about the schema. Each runs against the hub as it stands; a test sends them all.

/**
 * @typedef {{ name: string, about: string, query: string, variables?: Record<string, unknown> }} Example
 */

/** @type {Example[]} */
export const EXAMPLES = [
  {
    name: "Wards",
    about: "All 35 wards with outline and sub-county",
    query: `query Wards {
  wards(
    first: 100
    orderBy: [{ code: ASC }]
  ) {
    nodes {
      code
      name
      population
      areaKm2
      boundary
      subCounty { code name }
    }
  }
}
`,
  },
  {
    name: "Here",
    about: "Which ward is this point in? Longitude first",
    query: `query Here($at: Position!) {
  wardAt(point: $at) {
    code
    name
    subCounty { name }
  }
}
`,
    variables: { at: [34.9189, -0.1723] },
  },
  {
    name: "Within a shape",
    about: "Wards that a polygon touches: here, water along the lower Nyando",
    query: `query Touched($area: AreaGeoJSON!) {
  wards(
    where: {
      boundary: { intersects: $area }
    }
    orderBy: [{ population: DESC }]
  ) {
    totalCount
    nodes {
      code
      name
      population
      subCounty { name }
    }
  }
}
`,
    variables: {
      area: {
        type: "Polygon",
        coordinates: [[[34.86, -0.3], [34.95, -0.3], [34.98, -0.16], [34.91, -0.14], [34.86, -0.3]]],
      },
    },
  },
  {
    name: "Sub-counties and wards",
    about: "Lists within lists, still one statement",
    query: `query Nested {
  subCounties(
    orderBy: [{ population: DESC }]
  ) {
    nodes {
      name
      population
      wards(
        first: 3
        orderBy: [{ population: DESC }]
      ) {
        totalCount
        nodes { name population }
      }
    }
  }
}
`,
  },
  {
    name: "By another name",
    about: "A ward found however somebody spells it",
    query: `query Spelled($name: String!) {
  wards(
    where: {
      names: {
        some: { name: { contains: $name } }
      }
    }
  ) {
    nodes { code name aliases }
  }
}
`,
    variables: { name: "shaurimoyo" },
  },
  {
    name: "What is disputed",
    about: "Wards that some source puts into another sub-county",
    query: `query Disputed {
  wards(
    where: {
      memberships: {
        some: { accepted: { eq: false } }
      }
    }
  ) {
    nodes {
      name
      memberships {
        nodes {
          accepted
          parent { name }
          note
          source { title }
        }
      }
    }
  }
}
`,
  },
  {
    name: "Open incidents",
    about: "Counted by ward and severity, with the oldest of each",
    query: `query OpenByWard {
  incidentStats(
    groupBy: [WARD, SEVERITY]
    where: { status: { notIn: [CLOSED, REJECTED] } }
  ) {
    ward { code name }
    severity
    count
    oldestReportedAt
  }
}
`,
  },
  {
    name: "Floods as published",
    about: "What everybody may know: five and more in a ward on a day",
    query: `query PublishedFloods {
  incidentCounts(
    where: { kind: { eq: FLOOD } }
    orderBy: [{ day: DESC }]
    first: 20
  ) {
    totalCount
    nodes {
      day
      count
      ward { code name }
    }
  }
}
`,
  },
  {
    name: "Nearest vehicles",
    about: "Who is free near the market of Ahero, in true metres",
    query: `query NearestVehicles($to: Position!) {
  wardAt(point: $to) { name }
  nearestVehicles(
    to: $to
    first: 5
    where: { status: { eq: AVAILABLE } }
  ) {
    distanceMeters
    vehicle {
      plate
      kind
      latestPosition { recordedAt ward { name } }
    }
  }
}
`,
    variables: { to: [34.9189, -0.1723] },
  },
  {
    name: "What patrols covered",
    about: "By beat: patrols, hours, and the share of the way",
    query: `query Covered {
  patrolStats(
    groupBy: [BEAT]
    where: { status: { ne: CANCELLED } }
  ) {
    beat { name }
    count
    hours
    plannedMeters
    coveredMeters
    ratio
  }
}
`,
  },
  {
    name: "What is a ward?",
    about: "The schema describes itself",
    query: `query Introspect {
  __type(name: "Ward") {
    description
    fields {
      name
      description
      type { name kind ofType { name } }
    }
  }
}
`,
  },
];
