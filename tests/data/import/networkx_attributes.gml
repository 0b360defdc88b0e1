graph [
  directed 1
  node [
    id 0
    label "a"
    group "core"
    size 3.5
    color "#ff8000"
    x 1.0
    y 2.0
    z -3.0
    kind "agent"
  ]
  node [
    id 1
    label "b"
    name "Ben &#34;B&#34; &#220;nal"
    age 41
    active 1
    tags "p"
    tags "q"
  ]
  node [
    id 2
    label "c"
  ]
  edge [
    source 0
    target 1
    weight 2.5
    relation "knows"
    note "x &#38; <y>"
  ]
  edge [
    source 1
    target 2
  ]
  edge [
    source 2
    target 0
  ]
]
