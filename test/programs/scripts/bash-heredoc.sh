# Here-documents and here-strings, small and larger than a pipe.
name=world
cat <<A
hello $name $((1 + 1))
A
cat <<'B'
literal $name
B
cat <<-C
	indented
	C
tr a-z A-Z <<<"here string"
cat <<D | md5sum
$(seq 1 40000)
D
cat <<E - <<F
first
E
second
F
while read -r a b; do echo "$b $a"; done <<G
1 one
2 two
G
