Creator "igraph version 1.0.0 Sat Nov 21 14:42:18 2026"
Version 1
graph
[
  directed 0
  node
  [
    id 0
    label "v0"
  ]
  node
  [
    id 1
    label "v1"
  ]
  node
  [
    id 2
    label "v2"
  ]
  node
  [
    id 3
    label "v3"
  ]
  node
  [
    id 4
    label "v4"
  ]
  node
  [
    id 5
    label "v5"
  ]
  node
  [
    id 6
    label "v6"
  ]
  node
  [
    id 7
    label "v7"
  ]
  node
  [
    id 8
    label "v8"
  ]
  node
  [
    id 9
    label "v9"
  ]
  edge
  [
    source 1
    target 0
    weight 0.5
  ]
  edge
  [
    source 4
    target 0
    weight 1.5
  ]
  edge
  [
    source 5
    target 0
    weight 2.5
  ]
  edge
  [
    source 2
    target 1
    weight 3.5
  ]
  edge
  [
    source 6
    target 1
    weight 4.5
  ]
  edge
  [
    source 3
    target 2
    weight 5.5
  ]
  edge
  [
    source 7
    target 2
    weight 6.5
  ]
  edge
  [
    source 4
    target 3
    weight 7.5
  ]
  edge
  [
    source 8
    target 3
    weight 8.5
  ]
  edge
  [
    source 9
    target 4
    weight 9.5
  ]
  edge
  [
    source 7
    target 5
    weight 10.5
  ]
  edge
  [
    source 8
    target 5
    weight 11.5
  ]
  edge
  [
    source 8
    target 6
    weight 12.5
  ]
  edge
  [
    source 9
    target 6
    weight 13.5
  ]
  edge
  [
    source 9
    target 7
    weight 14.5
  ]
]
