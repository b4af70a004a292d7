# A local repository: commit, branch, merge, clone, fetch, push, bisect.
# needs: git
# limit: 120
export GIT_CONFIG_GLOBAL=$PWD/cfg GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_DATE='2024-01-02T03:04:05Z' GIT_COMMITTER_DATE='2024-01-02T03:04:05Z'
git config --global user.name T; git config --global user.email t@example.org; git config --global init.defaultBranch main; git config --global advice.detachedHead false
git init -q r && cd r && seq 100 >f && mkdir d && echo x >d/g && git add . && git commit -qm first && git log --format='%H %s'
seq 50 >f; git status --short; git diff --stat; git commit -qam second; git log --oneline | wc -l; git show --stat --format=%s
git checkout -qb side; echo side >s; git add s; git commit -qm side; git checkout -q main; echo main >m; git add m; git commit -qm main2
git merge -q -m merged side; git log --graph --format=%s; git tag v1; git describe
echo c1 >f; git commit -qam c1; git checkout -q side; echo c2 >f; git commit -qam c2; git merge main >/dev/null 2>&1; echo "conflict $?"; git status --short; git merge --abort
git stash list; echo dirty >>f; git stash -q; git stash pop -q; git status --short; git checkout -q -- f
cd ..; git clone -q r c && cd c && git log --format=%H -1 && git status && git branch -a && git fsck --no-progress && echo new >n && git add n && git commit -qm n && git push -q origin HEAD:refs/heads/pushed
cd ../r; git log --format=%s -1 pushed; git gc -q; git count-objects -v | grep -E 'in-pack|packs'; git grep -c 5 main -- f; git rev-parse HEAD; git cat-file -p HEAD | head -2; git archive main | tar -tf - | sort; git rebase -q main side 2>/dev/null; echo "rebase $?"; git rebase --abort; git worktree add -q ../w pushed && ls ../w
git clone -q --depth 1 "file://$PWD" ../shallow && cd ../shallow && git log --oneline | wc -l
